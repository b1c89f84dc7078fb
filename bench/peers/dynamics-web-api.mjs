// A pull as users of the npm package dynamics-web-api write it: retrieveMultiple page by page, as
// the package's documentation shows, its rows streamed into COPY through psql.
//
//   node dynamics-web-api.mjs PACKAGES TABLE COLLECTION PAGE_ROWS PROPERTY...
//
// PACKAGES: the directory with node_modules; the rest of what it needs is in the environment. The
// table's columns have the properties' order. Prints the number of rows.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";

const [packages, table, collection, pageRows, ...select] = process.argv.slice(2);
const { DynamicsWebApi } = createRequire(join(packages, "package.json"))("dynamics-web-api");
const env = process.env;

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

const escapes = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

// A value in COPY's text format.
function copyValue(value) {
  if (value === null || value === undefined) return "\\N";
  if (value instanceof Date) return value.toISOString(); // the package makes dates of what looks like one
  if (typeof value === "string") return value.replace(/[\\\n\r\t]/g, (c) => escapes[c]);
  return String(value);
}

const psql = spawn("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", `COPY ${table} FROM STDIN`], {
  stdio: ["pipe", "inherit", "inherit"],
});
const exited = once(psql, "exit");

const api = new DynamicsWebApi({
  serverUrl: env.DATAVERSE_URL,
  dataApi: { version: "9.2" },
  onTokenRefresh: acquireToken,
});
const request = { collection, select, maxPageSize: Number(pageRows) };
let rows = 0;
let response = await api.retrieveMultiple(request);
for (;;) {
  let lines = "";
  for (const row of response.value) lines += select.map((name) => copyValue(row[name])).join("\t") + "\n";
  rows += response.value.length;
  if (!psql.stdin.write(lines)) await once(psql.stdin, "drain");
  if (!response.oDataNextLink) break;
  response = await api.retrieveMultiple(request, response.oDataNextLink);
}
psql.stdin.end();
const [code] = await exited;
if (code !== 0) process.exit(code ?? 1);
console.log(rows);
