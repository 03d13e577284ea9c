// What the drivers in JavaScript read and print: the contract of contract.py.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

export const TEAM_ID = "DEF123GHIJ";
export const KEY_ID = "ABC123DEFG";
export const TOPIC = "com.example.app";
export const APS = {
  alert: { title: "The shop is open", body: "Come in and look around: it is warm" },
};
export const OTHER = { shop: "the-quay" };
const DEVICES = Array.from({ length: 1000 }, (_, n) =>
  createHash("sha256").update(String(n)).digest("hex"),
);

const names = ["host", "ca", "key", "port", "warm-up", "count", "in-flight"];
const { values } = parseArgs({
  options: Object.fromEntries(names.map((name) => [name, { type: "string" }])),
});

export const load = {
  host: values.host,
  port: Number(values.port),
  ca: values.ca,
  key: values.key,
  warmUp: Number(values["warm-up"]),
  count: Number(values.count),
  inFlight: Number(values["in-flight"]),
};

// `send(deviceToken)` resolves to whether it was a 200. `inFlight` loops call it, as in Python.
export async function drive(send, packages) {
  async function phase(count) {
    let next = 0;
    let ok = 0;
    async function worker() {
      while (next < count) {
        const device = DEVICES[next++ % DEVICES.length];
        if (await send(device)) ok += 1;
      }
    }
    await Promise.all(Array.from({ length: load.inFlight }, worker));
    return ok;
  }
  await phase(load.warmUp);
  const cpuBefore = process.cpuUsage();
  const before = process.hrtime.bigint();
  const ok = await phase(load.count);
  const seconds = Number(process.hrtime.bigint() - before) / 1e9;
  const cpu = process.cpuUsage(cpuBefore);
  const versions = {};
  for (const name of packages) {
    const file = new URL(`./node_modules/${name}/package.json`, import.meta.url);
    versions[name] = JSON.parse(readFileSync(file, "utf8")).version;
  }
  versions.node = process.versions.node;
  const result = { sent: load.count, ok, seconds, cpu_user: cpu.user / 1e6 };
  console.log(JSON.stringify({ ...result, cpu_sys: cpu.system / 1e6, versions }));
  process.exit(0); // idle connections would keep it alive
}
