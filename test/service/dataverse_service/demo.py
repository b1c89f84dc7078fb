"""Demo rows: what the ``n``-th account, contact, ... looks like.

Rows are made from their number alone, by a small generator seeded with it. The first rows of every
table walk through hand-picked troublesome values, so that the smallest seed has them; after them
come plausible ones with a share of nulls, odd case, accents, trailing blanks. Values are given
nearly as stored: whole microseconds for times, digits for decimals, (id, table) for lookups.
"""
from __future__ import annotations

import base64
import dataclasses
import datetime
import functools
import hashlib
import random
from typing import Any, Callable, Optional

from .tables import COLORS

Row = dict[str, Any]

_EPOCH = datetime.datetime(1970, 1, 1)


def micros(*parts: int) -> int:
    moment = datetime.datetime(*parts)  # type: ignore[misc]
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)


_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_OLDEST = micros(2015, 3, 1)
_NEWEST = micros(2025, 12, 31)
_IMPORT_DAY = micros(2019, 6, 15, 2)
EARLIEST = micros(1753, 1, 1)
LATEST = micros(9999, 12, 31, 23, 59, 59)


def proportions(accounts: int) -> dict[str, int]:
    """Rows per table for so many accounts. The geographic tables stay empty."""
    return {
        "account": accounts,
        "contact": accounts // 2,
        "opportunity": accounts // 4,
        "incident": accounts // 10,
        "task": accounts // 4,
        "sample_everything": min(accounts, 2000),
        "contoso_sensordata": min(accounts // 2, 2000),
    }


@functools.lru_cache(maxsize=65536)
def row_id(table: str, n: int) -> str:
    """The id of a table's n-th row, scattered like real ones."""
    h = hashlib.blake2b(f"{table} {n}".encode(), digest_size=16).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-8{h[17:20]}-{h[20:]}"


@dataclasses.dataclass
class World:
    """What demo rows refer to."""

    accounts: int
    users: list[str]
    teams: list[str]
    currencies: list[tuple[str, str]]  #: (id, exchange rate), the base currency first
    business_unit: str
    application_user: str


# --- texts ---------------------------------------------------------------------------------

#: Names that naive clients trip over; each is the name of one account.
NAMES = (
    "Fourth Coffee (sample)", "fourth coffee (SAMPLE)", "A. Datum Corporation", "Café Müller",
    "CAFE MULLER", "café müller", "Cafe\u0301 decomposed", "Café decomposed", "O'Neill & Sons",
    "''", "100% Cotton", "100 Cotton", "50%_off [sale]", "[Brackets] GmbH", "Brackets GmbH",
    "under_score", "underXscore", "back\\slash", 'say "hello"', "tab\there", "line\nbreak",
    "carriage\r\nreturn", "trailing blank", "trailing blank ", "trailing blank   ",
    " leading blank", "-hyphen first", "日本電気株式会社", "北京百度网讯科技有限公司", "Ελληνικά Πετρέλαια ΑΕ", "ΕΛΛΗΝΙΚΆ ΠΕΤΡΈΛΑΙΑ ΑΕ",
    "Газпром нефть", "ГАЗПРОМ НЕФТЬ", "חברה בע״מ", "شركة العربية", "हिन्दी लिमिटेड", "ไทยพาณิชย์",
    "😀 Emoji 🚀 Inc.", "👩‍👩‍👧‍👦 Family", "Zoë", "ZOE", "Straße", "STRASSE", "İstanbul", "ISTANBUL",
    "ıstanbul", "Łódź", "Lodz", "Ångström AB", "null", "NULL", "true", "0", "-1", "<b>&amp;</b>",
    "a;b,c=d?e@f#g", "+plus", "100%25", "%", "_", "[", "]", "^", "[^a-z]", "x" * 160, "é" * 160,
    "zero\u200bwidth", "no\u00a0break", "{\"json\": [1]}", "\\N", "\\.", "a\u2028b",
)

_FIRST_WORDS = ("Adventure", "Alpine", "Blue Yonder", "City Power", "Coho", "Contoso", "Fabrikam",
                "Graphic", "Humongous", "Litware", "Lucerne", "Margie's", "Northwind", "Proseware",
                "Relecloud", "School of Fine", "Tailspin", "Trey", "Wide World", "Woodgrove",
                "Übersee", "Société", "Señor", "Dvořák", "Åland", "Київ", "東京")
_SECOND_WORDS = ("Works", "Ski House", "Airlines", "& Light", "Vineyard", "Ltd.", "Inc.",
                 "Design Institute", "Insurance", "Publishing", "Travel", "Traders", "Art", "Toys",
                 "Research", "Importers", "Bank", "Générale", "GmbH", "A/S", "100%", "[EU]", "_lab")
_FIRST_NAMES = ("Yvonne", "Susanna", "Nancy", "Maria", "Sidney", "Scott", "Robert", "René", "Zoë",
                "Jörg", "Søren", "Łukasz", "D'Arcy", "Иван", "美咲", "Ana-Luísa", "MARIA", "maria")
_LAST_NAMES = ("McKay (sample)", "Stubberod (sample)", "Anderson", "Campbell", "Higa", "Konersmann",
               "Lyon", "O'Brian", "Müller", "Mueller", "Nuñez", "Åberg", "Петров", "佐藤",
               "de la Cruz",
               "van den Berg", "Smith-Jones", "SMITH", "smith")
_CITIES = (("Renton", "TX", "US"), ("Dallas", "TX", "U.S."), ("München", "BY", "Germany"),
           ("Malmö", None, "Sweden"), ("São Paulo", "SP", "Brazil"), ("Québec", "QC", "Canada"),
           ("Köln", "NW", "Germany"), ("Koln", None, "germany"), ("大阪", None, "日本"),
           ("St. John's", "NL", "Canada"), (None, None, None))
_STREETS = ("Main Street", "Königsallee", "rue de l'Église", "Calle Mayor", "Große Straße", "中央通り")
_TITLES = ("Purchasing Manager", "Owner", "purchasing assistant", "CEO", "Geschäftsführer", "N/A",
           "Vice President, Sales & Marketing")
_SENTENCES = ("Prefers to be called in the morning.", "Bought twice last year; asked for 10% off.",
              "Naïve façade coöperation.", "Line one\nLine two\r\nLine three", "\tIndented",
              "См. договор № 42.", "«Quoted» text with \"quotes\" and 'apostrophes'.", "😀👍")


class Dice(random.Random):
    """A generator whose common calls cost little: a seed makes fifty for every row."""

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def pick(self, choices: Any) -> Any:
        return choices[int(self.random() * len(choices))]


def _maybe(rng: Dice, value: Any, share: float) -> Any:
    """The value, or null in this share of the rows."""
    return None if rng.random() < share else value


def _company(rng: Dice, n: int) -> str:
    if n < len(NAMES):
        return NAMES[n]
    name = f"{rng.pick(_FIRST_WORDS)} {rng.pick(_SECOND_WORDS)}"
    style = n % 23
    if style == 0:
        return name.upper()
    if style == 1:
        return name.lower()
    if style == 2:
        return name + " "
    if style < 12:
        return f"{name} {n}"
    return name


def account_number(n: int) -> Optional[str]:
    """Unique under every collation; a fiftieth has none. Some hold characters that keyed addresses
    refuse (sheet 1.5)."""
    if n % 50 == 49:
        return None
    forms = {7: "A/{:06d}", 17: "R&D-{:06d}", 27: "o'{:06d}", 37: "é{:06d}", 47: "50%+{:06d}",
             3: "ab {:06d} ", 13: "#{:06d}"}
    return forms.get(n % 50, "ACC-{:06d}").format(n)


def _person(rng: Dice) -> tuple[Optional[str], str]:
    return _maybe(rng, rng.pick(_FIRST_NAMES), 0.03), rng.pick(_LAST_NAMES)


def _phone(rng: Dice) -> str:
    return f"555-{rng.below(10000):04d}"


# --- times -----------------------------------------------------------------------------------


def _created(rng: Dice) -> int:
    """Skewed, as histories are: one import day holds a third, most of the rest is recent."""
    kind = rng.random()
    if kind < 0.33:
        return _IMPORT_DAY + rng.below(7200) * _SECOND
    share = rng.random() if kind < 0.5 else 1 - rng.random() ** 3 / 4
    return _OLDEST + int((_NEWEST - _OLDEST) * share) // _SECOND * _SECOND


def _stamps(rng: Dice, world: World) -> Row:
    created = _created(rng)
    kind = rng.random()
    if kind < 0.1:
        owner = (rng.pick(world.teams), "team")
    else:
        owner = (world.users[int(kind * 97) % len(world.users)], "systemuser")
    return {
        "createdon": created,
        "modifiedon": created + int(rng.random() ** 2 * 400) * _DAY + rng.below(86400) * _SECOND,
        "createdby": (world.application_user, "systemuser"),
        "modifiedby": (rng.pick(world.users), "systemuser"),
        "ownerid": owner,
        "owningbusinessunit": (world.business_unit, "businessunit"),
        "timezoneruleversionnumber": rng.pick((None, 0, 4)),
    }


def _currency(rng: Dice, world: World) -> Row:
    base = rng.random() < 0.85
    currency, rate = world.currencies[0] if base else rng.pick(world.currencies)
    return {"transactioncurrencyid": (currency, "transactioncurrency"), "exchangerate": rate}


def _state(rng: Dice, pairs: tuple[tuple[int, int], ...], share: float = 0.2) -> Row:
    state, status = pairs[0] if rng.random() > share else rng.pick(pairs)
    return {"statecode": state, "statuscode": status}


_DATE_ENDS = ("1753-01-01", "9999-12-31", "1900-02-28", "2000-02-29", "1969-12-31", "1970-01-01")
_TIME_ENDS = (EARLIEST, LATEST, micros(1969, 12, 31, 23, 59, 59), 0, micros(2000, 2, 29, 12),
              micros(1900, 1, 1), micros(2038, 1, 19, 3, 14, 8))


def _date(rng: Dice, start: int = 1940, years: int = 70) -> str:
    return f"{start + rng.randrange(years)}-{rng.below(12) + 1:02d}-{rng.below(28) + 1:02d}"


def _moment(rng: Dice) -> int:
    return _OLDEST + rng.below(345_000_000) * _SECOND


# --- numbers ----------------------------------------------------------------------------------


def _money(rng: Dice, digits: int = 2) -> str:
    """Most small, a few huge; four decimals shown."""
    size = 10 ** rng.randrange(3, 9)
    cents = rng.below(size * 100)
    fraction = f"{cents % 100:02d}" + (f"{rng.below(100):02d}" if digits == 4 else "00")
    return f"{cents // 100}.{fraction}"


#: Revenue and market capitalization at their limits; the wire shows four decimals.
_REVENUES = ("0.0000", "0.0100", "100000000000000.0000", "99999999999999.9900", None, "1.0000")
_CAPS = ("0.0000", "0.0001", "100000000000000.0000", "99999999999999.9999", None, "12345.6789")


def _picked(values: tuple[Any, ...], n: int, otherwise: Any) -> Any:
    """The n-th hand-picked value, later the other one."""
    return values[n] if n < len(values) else otherwise


# --- tables -----------------------------------------------------------------------------------

_PIXEL = base64.b64encode(bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf"
    "c0f01f0005000200ff5e7d1d0c0000000049454e44ae426082")).decode()


def _address(rng: Dice) -> Row:
    city, region, country = rng.pick(_CITIES)
    return {
        "address1_line1": _maybe(rng, f"{rng.below(9999)} {rng.pick(_STREETS)}", 0.1),
        "address1_city": city,
        "address1_stateorprovince": region,
        "address1_country": country,
        "address1_postalcode": _maybe(rng, f"{rng.below(100000):05d}", 0.2),
        "address1_latitude": _maybe(rng, round(rng.uniform(-90, 90), 5), 0.5),
        "address1_longitude": _maybe(rng, round(rng.uniform(-180, 180), 5), 0.5),
        "address1_addresstypecode": _maybe(rng, rng.below(4) + 1, 0.5),
        "address1_utcoffset": _maybe(rng, rng.randrange(-12, 13) * 60, 0.8),
    }


def _permissions(rng: Dice) -> Row:
    bits = rng.getrandbits(7)
    names = ("donotbulkemail", "donotbulkpostalmail", "donotemail", "donotfax", "donotphone",
             "donotpostalmail", "donotsendmm")
    return {name: bits >> i & 1 for i, name in enumerate(names)}


def _account(n: int, world: World) -> Row:
    rng = Dice(n * 8 + 1)
    address = _address(rng)
    if n < 4:
        address["address1_latitude"] = (90.0, -90.0, 0.0, 47.63958)[n]
        address["address1_longitude"] = (180.0, -180.0, 0.0, -122.12812)[n]
    return {
        "accountid": row_id("account", n),
        "name": _company(rng, n),
        "accountnumber": account_number(n),
        "revenue": _picked(_REVENUES, n, _maybe(rng, _money(rng), 0.15)),
        "marketcap": _picked(_CAPS, n, _maybe(rng, _money(rng, 4), 0.6)),
        "creditlimit": _maybe(rng, f"{rng.randrange(1, 100) * 1000}.0000", 0.4),
        "numberofemployees": _picked((0, 1000000000, 1, None), n,
                                     _maybe(rng, int(10 ** (rng.random() * 5)), 0.1)),
        "sharesoutstanding": _maybe(rng, rng.below(1000000000), 0.7),
        "opendeals": _maybe(rng, rng.below(20), 0.3),
        "industrycode": _maybe(rng, rng.below(33) + 1, 0.15),
        "customertypecode": _maybe(rng, rng.below(12) + 1, 0.2),
        "accountcategorycode": _maybe(rng, rng.below(2) + 1, 0.5),
        "accountratingcode": 1,
        "ownershipcode": _maybe(rng, rng.below(4) + 1, 0.4),
        "preferredcontactmethodcode": rng.below(5) + 1,
        "paymenttermscode": _maybe(rng, rng.below(4) + 1, 0.3),
        "customersizecode": 1,
        "businesstypecode": 1,
        "creditonhold": _maybe(rng, int(rng.random() < 0.1), 0.05),
        "followemail": 1,
        "merged": 0,
        "marketingonly": 0,
        "participatesinworkflow": 0,
        "telephone1": _maybe(rng, _phone(rng), 0.1),
        "fax": _maybe(rng, _phone(rng), 0.8),
        "emailaddress1": _maybe(rng, f"someone{n}@example.com", 0.1),
        "websiteurl": _maybe(rng, f"http://www.example{n % 997}.com/?a=b&c=%20", 0.3),
        "description": _maybe(rng, rng.pick(_SENTENCES) * (1 + n % 3), 0.5),
        "stockexchange": _maybe(rng, rng.pick(("NYSE", "NASDAQ", "XETRA")), 0.8),
        "tickersymbol": _maybe(rng, f"T{n % 9999}", 0.8),
        "lastusedincampaign": _picked(_TIME_ENDS, n, _maybe(rng, _moment(rng), 0.7)),
        "preferredappointmentdaycode": _maybe(rng, rng.below(7), 0.6),
        "primarycontactid": (row_id("contact", n // 2), "contact")
        if n % 3 and n // 2 < world.accounts // 2 else None,
        "parentaccountid": (row_id("account", n // 10), "account") if n % 7 == 3 else None,
        "entityimage": _PIXEL if n % 500 == 5 else None,
        **address, **_permissions(rng), **_currency(rng, world), **_stamps(rng, world),
        **_state(rng, ((0, 1), (1, 2))),
    }


def _contact(n: int, world: World) -> Row:
    rng = Dice(n * 8 + 2)
    first, last = _person(rng)
    parent: Any = (row_id("account", 2 * n), "account")
    if n % 5 == 4:
        parent = (row_id("contact", n - 1), "contact")
    elif n % 7 == 6:
        parent = None
    return {
        "contactid": row_id("contact", n),
        "firstname": first,
        "lastname": last,
        "salutation": _maybe(rng, rng.pick(("Mr.", "Ms.", "Dr.", "Señora")), 0.7),
        "jobtitle": _maybe(rng, rng.pick(_TITLES), 0.2),
        "emailaddress1": _maybe(rng, f"person{n}@example.com", 0.05),
        "telephone1": _maybe(rng, _phone(rng), 0.2),
        "mobilephone": _maybe(rng, _phone(rng), 0.4),
        "birthdate": _picked(_DATE_ENDS, n, _maybe(rng, _date(rng), 0.3)),
        "anniversary": _maybe(rng, _date(rng, 1980, 40), 0.8),
        "annualincome": _maybe(rng, _money(rng), 0.4),
        "creditlimit": _maybe(rng, f"{rng.randrange(1, 50) * 100}.0000", 0.7),
        "gendercode": _maybe(rng, rng.below(2) + 1, 0.2),
        "familystatuscode": _maybe(rng, rng.below(4) + 1, 0.4),
        "accountrolecode": _maybe(rng, rng.below(3) + 1, 0.5),
        "numberofchildren": _maybe(rng, rng.below(6), 0.6),
        "customertypecode": 1,
        "preferredcontactmethodcode": rng.below(5) + 1,
        "creditonhold": 0,
        "description": _maybe(rng, rng.pick(_SENTENCES), 0.7),
        "parentcustomerid": parent,
        "accountid": parent if parent and parent[1] == "account" else None,
        **_address(rng), **_permissions(rng), **_currency(rng, world), **_stamps(rng, world),
        **_state(rng, ((0, 1), (1, 2)), 0.1),
    }


def _opportunity(n: int, world: World) -> Row:
    rng = Dice(n * 8 + 3)
    account = (row_id("account", 4 * n), "account")
    contact = (row_id("contact", 2 * n), "contact")
    ends = ("0.0000", "922337203685477.0000", "0.0100", "922337203685476.9900", None)
    return {
        "opportunityid": row_id("opportunity", n),
        "name": f"{rng.pick(('Needs', 'Interested in', 'Wants', 'Möchte', '50% off:'))} "
                f"{rng.pick(_SECOND_WORDS)} {n}",
        "description": _maybe(rng, rng.pick(_SENTENCES), 0.5),
        "estimatedvalue": _picked(ends, n, _maybe(rng, _money(rng), 0.1)),
        "actualvalue": _maybe(rng, _money(rng), 0.7),
        "budgetamount": _maybe(rng, f"{rng.randrange(1, 1000) * 500}.0000", 0.4),
        "totalamount": _maybe(rng, _money(rng), 0.2),
        "discountpercentage": _maybe(rng, f"{rng.below(100)}.{rng.below(100):02d}00000000", 0.6),
        "closeprobability": _maybe(rng, rng.below(101), 0.1),
        "estimatedclosedate": _picked(_DATE_ENDS, n, _maybe(rng, _date(rng, 2018, 9), 0.15)),
        "actualclosedate": _maybe(rng, _date(rng, 2018, 8), 0.7),
        "finaldecisiondate": _maybe(rng, _moment(rng), 0.8),
        "opportunityratingcode": rng.below(3) + 1,
        "salesstagecode": 1,
        "salesstage": _maybe(rng, rng.below(4), 0.3),
        "budgetstatus": _maybe(rng, rng.below(4), 0.4),
        "purchasetimeframe": _maybe(rng, rng.below(5), 0.5),
        "purchaseprocess": _maybe(rng, rng.below(3), 0.6),
        "need": _maybe(rng, rng.below(4), 0.6),
        "isrevenuesystemcalculated": rng.getrandbits(1),
        "decisionmaker": _maybe(rng, rng.getrandbits(1), 0.3),
        "stepname": _maybe(rng, rng.pick(("1-Qualify", "2-Develop", "3-Propose", "4-Close")), 0.1),
        "customerid": contact if n % 3 == 2 else account,
        "parentaccountid": account if n % 4 else None,
        "parentcontactid": _maybe(rng, contact, 0.5),
        **_currency(rng, world), **_stamps(rng, world),
        **_state(rng, ((0, 1), (0, 2), (1, 3), (2, 4), (2, 5)), 0.5),
    }


_VERBS = ("Call", "Send", "Review", "Prüfen", "call")
_THINGS = ("offer", "contract", "Rechnung", "50% discount", "o_f_f[er]")


def _task(n: int, world: World) -> Row:
    rng = Dice(n * 8 + 4)
    incident = n * 4 // 10
    regarding: tuple[Any, ...] = (
        (row_id("account", 4 * n), "account"),
        (row_id("contact", 2 * n), "contact"),
        (row_id("opportunity", n), "opportunity"),
        (row_id("incident", incident), "incident") if incident < world.accounts // 10 else None,
        None,
    )
    start = _moment(rng)
    return {
        "activityid": row_id("task", n),
        "activitytypecode": "task",
        "subject": f"{rng.pick(_VERBS)} {rng.pick(_THINGS)} {n % 40}",
        "description": _maybe(rng, rng.pick(_SENTENCES), 0.5),
        "category": _maybe(rng, rng.pick(("sales", "Sales", "SALES ", "service")), 0.5),
        "scheduledstart": _maybe(rng, start, 0.2),
        "scheduledend": _maybe(rng, start + rng.below(30) * _DAY, 0.2),
        "actualend": _maybe(rng, start + rng.below(60) * _DAY, 0.7),
        "actualdurationminutes": _maybe(rng, rng.below(480), 0.4),
        "percentcomplete": rng.below(101),
        "prioritycode": rng.below(3),
        "isbilled": 0,
        "isregularactivity": 1,
        "isworkflowcreated": 0,
        "regardingobjectid": regarding[n % 5],
        **_stamps(rng, world),
        **_state(rng, ((0, 2), (0, 3), (0, 4), (1, 5), (2, 6), (0, 7)), 0.6),
    }


def _incident(n: int, world: World) -> Row:
    rng = Dice(n * 8 + 5)
    account = (row_id("account", 10 * n), "account")
    contact = (row_id("contact", 5 * n), "contact")
    return {
        "incidentid": row_id("incident", n),
        "title": f"{rng.pick(('Broken', 'Late', 'Missing', 'Défectueux'))} "
                 f"{rng.pick(('item', 'delivery', 'pièce', 'Gerät'))} {n}",
        "ticketnumber": f"CAS-{n:05d}-{row_id('ticket', n)[:6].upper()}",
        "description": _maybe(rng, rng.pick(_SENTENCES), 0.4),
        "caseorigincode": _maybe(rng, rng.pick((1, 2, 3, 2483, 3986, 700610000)), 0.1),
        "casetypecode": _maybe(rng, rng.below(3) + 1, 0.2),
        "prioritycode": rng.below(3) + 1,
        "severitycode": 1,
        "customersatisfactioncode": _maybe(rng, rng.below(5) + 1, 0.6),
        "resolveby": _maybe(rng, _moment(rng), 0.4),
        "followupby": _maybe(rng, _moment(rng), 0.7),
        "isescalated": int(rng.random() < 0.1),
        "numberofchildincidents": rng.below(3),
        "sentimentvalue": _maybe(rng, round(rng.uniform(-1, 1), 2), 0.5),
        "customerid": contact if n % 4 == 3 else account,
        "primarycontactid": _maybe(rng, contact, 0.3),
        "parentcaseid": (row_id("incident", n // 5), "incident") if n % 9 == 7 else None,
        **_stamps(rng, world),
        **_state(rng, ((0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 1000), (2, 6), (2, 2000)), 0.5),
    }


# --- sample_everything --------------------------------------------------------------------------

_TEXTS = NAMES[:64] + ("a", "A", "á", "Á", "ä", "b", "B", "aa", "a a", "a  ", "ab", "Z", "z", "ö",
                       "Ö")
_INTEGERS = (0, 1, -1, 2147483647, -2147483648, 100, 99, 101, -100)
_BIGINTS = (0, 9223372036854775807, -9223372036854775808, 9007199254740993, -9007199254740993, 1)
_DECIMALS = ("0.0000000000", "100000000000.0000000000", "-100000000000.0000000000",
             "99999999999.9999999999", "-99999999999.9999999999", "0.0000000001", "-0.0000000001",
             "1.0000000000", "0.1000000000", "-1.5000000000", "123456789.0123456789")
_DECIMALS2 = ("0.0000000000", "100000000000.0000000000", "-0.0100000000", "99.9900000000",
              "1.5000000000")
_DOUBLES = (0.0, 100000000000.0, -100000000000.0, 0.00001, -0.00001, 47.63958, 0.1, 1.0,
            99999999999.99999, -0.5)
_MONIES = ("0.0000", "922337203685477.5807", "-922337203685477.5807", "922337203685477.0000",
           "-922337203685476.9999", "0.0001", "-0.0001", "1.0000", "123456789.1234")
_MULTIS = ("1", "2", "1,2", "1,9", "9,10", "1,2,3,9,10,100000000", "100000000", "10")
_CODES = ("S", "s/", "É", "o'x", "%", "ß", "S", "S")
_JSONS = ('{"power":7.5,"unit":"kWh"}', "[]", '{"nested":{"text":"é\\"quoted\\""}}')


def _cycle(values: tuple[Any, ...], n: int) -> Any:
    return values[n % len(values)]


def _cents(n: int) -> str:
    """Numbers on both sides of zero, growing past a billion."""
    sign = "-" if n % 3 == 1 else ""
    return f"{sign}{n * n * 911 % 10**10}.{n * 37 % 100:02d}"


def _sample(n: int, world: World) -> Row:
    """Hand-picked values in the first rows, then a mix; about a fifth of everything is null, each
    column in its own rhythm. The alternate keys' values are unique."""
    rng = Dice(n * 8 + 6)
    decimal = _picked(_DECIMALS, n, f"{_cents(n)}{n:08d}")
    moment = _picked(_TIME_ENDS, n, _OLDEST + n * 98_765 * _SECOND % (3650 * _DAY))
    day = datetime.date(2000, 1, 1) + datetime.timedelta(days=n * 3)
    row: Row = {
        "sample_name": f"{_cycle(_TEXTS, n)}"[:90] + ("" if n < len(_TEXTS) else f" {n}"),
        "sample_string": _cycle(_TEXTS, n * 7 + 3),
        "sample_longstring": ("long " + _cycle(_TEXTS, n)) * (1 + n % 20),
        "sample_email": f"s{n}@example.com",
        "sample_url": f"https://example.com/{n}?q=a%20b&c='d'",
        "sample_phone": f"555-{n % 50:04d}",
        "sample_json": _cycle(_JSONS, n),
        "sample_keepsempty": ("", "x", " ", None)[n % 4],
        "sample_memo": "\n".join(_SENTENCES[: 1 + n % len(_SENTENCES)]),
        "sample_entityname": _cycle(("account", "contact", "sample_everything", "geo_country"), n),
        "sample_integer": _cycle(_INTEGERS, n) if n < 40 else n * 7919 % 100003 - 50000,
        "sample_smallinteger": n % 1011 - 10,
        "sample_bigint": _picked(_BIGINTS, n, (n - 500) * 10_000_000_019),
        "sample_decimal": decimal,
        "sample_decimal2": _picked(_DECIMALS2, n, f"{_cents(n)}00000000"),
        "sample_double": _picked(_DOUBLES, n, round(rng.uniform(-1e6, 1e6), 5)),
        "sample_double0": float(rng.randrange(-1000, 1000)),
        "sample_money": _picked(_MONIES, n, f"{_cents(n)}{n % 97:02d}"),
        "sample_money2": f"{_cents(n)}00",
        "sample_boolean": n & 1,
        "sample_onoff": n >> 1 & 1,
        "sample_choice": _cycle((100000000, 100000001, 100000002, -1, 1, 2), n),
        "sample_globalchoice": _cycle(COLORS, n)[0],
        "sample_multi": _cycle(_MULTIS, n),
        "sample_globalmulti": ",".join(str(v) for v, _ in COLORS[: n % len(COLORS) + 1]),
        "sample_datetime": moment,
        "sample_datetimeindependent": _cycle(_TIME_ENDS, n) if n < 30 else _moment(rng),
        "sample_date": _DATE_ENDS[n] if n < len(_DATE_ENDS) else day.isoformat(),
        "sample_localdate": _moment(rng) // _DAY * _DAY + (n % 24) * 3600 * _SECOND,
        "sample_independentdate": _moment(rng) // _DAY * _DAY,
        "sample_guid": row_id("sample guid", n),
        "sample_accountid": (row_id("account", n % world.accounts), "account"),
        "sample_parentid": (row_id("sample_everything", n // 3), "sample_everything"),
        "sample_customerid": _customer(n, world),
        "sample_image": _PIXEL,
        "sample_writeonce": f"once {n}",
    }
    # Each column is null in its own rhythm: no two columns share their nulls.
    for i, name in enumerate(row):
        if n > 12 and (n * 31 + i * 17 + n // (i + 2)) % 5 == 0:
            row[name] = None
    money = row["sample_money"] is not None or row["sample_money2"] is not None
    return {
        **row,
        "sample_everythingid": row_id("sample_everything", n),
        "sample_code": None if n % 40 == 39 else f"{_cycle(_CODES, n)}{n:05d}",
        "sample_serial": f"S-{n:06d}",
        "sample_calculated": n * 2,
        **(_currency(rng, world) if money else {}),
        **_stamps(rng, world), **_state(rng, ((0, 1), (1, 2))),
    }


def _customer(n: int, world: World) -> tuple[str, str]:
    if n % 2 and world.accounts > 1:
        return row_id("contact", n % (world.accounts // 2)), "contact"
    return row_id("account", n % world.accounts), "account"


def _sensor(n: int, world: World) -> Row:
    """Elastic rows: the same id occurs in several partitions (sheet 13.1)."""
    rng = Dice(n * 8 + 7)
    row = {
        "contoso_sensordataid": row_id("contoso_sensordata", n - n % 2 if n % 20 < 2 else n),
        "partitionid": f"device-{n % 10:03d}",
        "contoso_name": f"Reading {n}",
        "contoso_deviceid": f"device-{n % 10:03d}",
        "contoso_sensortype": rng.pick(("Humidity", "Pressure", "humidity", "Température")),
        "contoso_value": rng.randrange(-50, 100),
        "contoso_reading": f"{rng.below(1000)}.{rng.below(10000):04d}000000",
        "contoso_voltage": round(rng.uniform(0, 5), 3),
        "contoso_alarm": rng.getrandbits(1),
        "contoso_quality": rng.pick((100000000, 100000001, None)),
        "contoso_timestamp": _moment(rng),
        "contoso_energyconsumption": _cycle(_JSONS, n),
        **_stamps(rng, world),
    }
    row.pop("timezoneruleversionnumber")
    return row


_MAKERS: dict[str, Callable[[int, World], Row]] = {
    "account": _account, "contact": _contact, "opportunity": _opportunity, "task": _task,
    "incident": _incident, "sample_everything": _sample, "contoso_sensordata": _sensor,
}


def maker(table: str, world: World) -> Callable[[int], Row]:
    """The function from a row's number to its values."""
    make = _MAKERS[table]
    return lambda n: make(n, world)
