// A load as users of the npm package dynamics-web-api write it: single upserts by alternate key as
// the package's documentation shows, or its callAction with a bulk message, batches one after
// another.
//
//   node dynamics-web-api-load.mjs PACKAGES HOW FILE BATCH LIMIT
//
// PACKAGES: the directory with node_modules; the rest of what it needs is in the environment. HOW:
// upsert (one row a request), CreateMultiple or UpsertMultiple. FILE: a JSON object a line. LIMIT:
// rows to send of it. Prints rows written, rows refused and the milliseconds from the first
// request to the last answer: starting Node.js and reading the file are not in it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [packages, how, file, batch, limit] = process.argv.slice(2);
const { DynamicsWebApi } = createRequire(join(packages, "package.json"))("dynamics-web-api");
const env = process.env;
const KEY = "accountnumber";

// The documentation takes the token from @azure/msal-node, which keeps it until it expires.
let token;
async function acquireToken() {
  if (!token || token.expires < Date.now()) {
    const answer = await fetch(`${env.DATAVERSE_AUTHORITY}/${env.DATAVERSE_TENANT_ID}/oauth2/v2.0/token`, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "client_credentials",
        client_id: env.DATAVERSE_CLIENT_ID,
        client_secret: env.DATAVERSE_CLIENT_SECRET,
        scope: `${env.DATAVERSE_URL}/.default`,
      }),
    });
    const body = await answer.json();
    token = { accessToken: body.access_token, expires: Date.now() + (body.expires_in - 60) * 1000 };
  }
  return token;
}

const api = new DynamicsWebApi({
  serverUrl: env.DATAVERSE_URL,
  dataApi: { version: "9.2" },
  onTokenRefresh: acquireToken,
});

// The key travels in the address and not in the body.
function address(row) {
  return `${KEY}='${String(row[KEY]).replace(/'/g, "''")}'`;
}

async function upsert(row) {
  const { [KEY]: _, ...data } = row;
  await api.upsert({ collection: "accounts", key: address(row), data });
}

function target(row) {
  if (how === "CreateMultiple") return { "@odata.type": "Microsoft.Dynamics.CRM.account", ...row };
  const { [KEY]: _, ...data } = row;
  return { "@odata.type": "Microsoft.Dynamics.CRM.account", "@odata.id": `accounts(${address(row)})`, ...data };
}

async function send(rows) {
  await api.callAction({
    collection: "accounts",
    actionName: `Microsoft.Dynamics.CRM.${how}`,
    action: { Targets: rows.map(target) },
  });
}

const rows = readFileSync(file, "utf8").split("\n", Number(limit)).filter(Boolean).map((line) => JSON.parse(line));
let refused = 0;
await acquireToken();
const began = performance.now();
for (let first = 0; first < rows.length; first += how === "upsert" ? 1 : Number(batch)) {
  if (how === "upsert") {
    await upsert(rows[first]);
    continue;
  }
  const part = rows.slice(first, first + Number(batch));
  try {
    await send(part);
  } catch (error) {
    // a bulk message fails whole: what a script does then is to send its rows one by one
    if (how !== "UpsertMultiple" || !(error.status >= 400 && error.status < 500)) throw error;
    for (const row of part) {
      try {
        await upsert(row);
      } catch (reason) {
        if (!(reason.status >= 400 && reason.status < 500)) throw reason;
        refused++;
      }
    }
  }
}
console.log(rows.length - refused, refused, performance.now() - began);
