// Drive apns2. It has no option for the port, so its pool is made anew with the same options and
// another port; the authority is trusted through NODE_EXTRA_CA_CERTS.

import { readFileSync } from "node:fs";
import { ApnsClient, Notification } from "apns2";
import { Pool } from "undici";
import { APS, drive, KEY_ID, load, OTHER, TEAM_ID, TOPIC } from "./contract.mjs";

const client = new ApnsClient({
  team: TEAM_ID,
  keyId: KEY_ID,
  signingKey: readFileSync(load.key, "utf8"),
  defaultTopic: TOPIC,
  host: load.host,
});
await client.client.close();
client.client = new Pool(`https://${load.host}:${load.port}`, {
  connections: 32,
  pipelining: 1,
  allowH2: true,
  maxConcurrentStreams: 100,
});

async function send(device) {
  // Raises unless the answer is 200.
  await client.send(new Notification(device, { aps: APS, data: OTHER }));
  return true;
}

await drive(send, ["apns2", "undici"]);
