// Drive @parse/node-apn: one provider, one connection. Its client takes address and port.

import { readFileSync } from "node:fs";
import apn from "@parse/node-apn";
import { APS, drive, KEY_ID, load, OTHER, TEAM_ID, TOPIC } from "./contract.mjs";

const provider = new apn.Provider({
  token: { key: load.key, keyId: KEY_ID, teamId: TEAM_ID },
  address: load.host,
  port: load.port,
  ca: [readFileSync(load.ca)],
  production: true,
});

// One notification for all devices, as its documentation has it: it is compiled once.
const note = new apn.Notification({ aps: APS, payload: OTHER });
note.topic = TOPIC;
note.pushType = "alert";
note.priority = 10;

async function send(device) {
  const result = await provider.send(note, device);
  if (result.failed.length) throw result.failed[0].error ?? new Error(JSON.stringify(result));
  return result.sent.length === 1;
}

await drive(send, ["@parse/node-apn"]);
