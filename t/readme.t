# The README's claims that can be checked by machine.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use DataverseTest;

my $test = DataverseTest->new();

sub slurp
{
    my $path = shift;
    open my $file, '<:encoding(UTF-8)', "$FindBin::Bin/../$path" or die "$path: $!";
    local $/;
    return <$file>;
}

my $readme = slurp('README.md');

# The options table is dataverse_options(), line by line.
my ($table) = $readme =~ /<!-- options:.*?-->\n(.*?)\n<!-- end of options -->/s;
my $expected = $test->query(
    q{SELECT '| ' || context || ' | `' || option || '` | ' || coalesce('`' || "default" || '`', '')
             || ' | ' || description || ' |' FROM dataverse_options()});
is($table, "| where | option | default | meaning |\n|---|---|---|---|\n$expected",
    'the options table is the code\'s');

# Both commands are there and can be run.
for my $command ($readme =~ m{^(scripts/\w+)}mg) {
    ok(-x "$FindBin::Bin/../$command", "$command can be run");
}

# Every quirk of the service is in its README, with its values.
my $core = slurp('test/service/dataverse_service/core.py');
my ($quirks) = $core =~ /class Quirks:(.*?)\n\@dataclasses/s;
my $service_readme = slurp('test/service/README.md');
my $found = 0;
while ($quirks =~ /^    (\w+): str = "\w+"  #: ([\w| ]+?):/mg) {
    my ($name, $values) = ($1, join(', ', split / \| /, $2));
    $found++;
    like($service_readme, qr/^\| `$name` \| $values \|$/m, "quirk $name is described");
}
cmp_ok($found, '>=', 14, 'quirks were found');

done_testing();
