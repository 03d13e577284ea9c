"""Drive niquests, multiplexed as it documents: post as many as may be in flight, then gather."""

import asyncio
import time
from itertools import islice
from pathlib import Path

import jwt
import niquests

from peers.contract import ENCODED, KEY_ID, TEAM_ID, TOPIC, Meter, device_tokens, parse


async def main() -> None:
    """Measure and print."""
    load = parse()
    key = Path(load.key).read_text()
    claims = {"iss": TEAM_ID, "iat": int(time.time())}
    provider_token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": KEY_ID})
    headers = {
        "authorization": f"bearer {provider_token}",
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
    }
    base = f"https://{load.host}:{load.port}/3/device/"
    async with niquests.AsyncSession(
        multiplexed=True, pool_maxsize=1, disable_http3=True
    ) as session:
        session.headers.update(headers)

        async def phase(count: int) -> int:
            tokens = device_tokens(count)
            ok = 0
            while batch := list(islice(tokens, load.in_flight)):
                responses = [
                    await session.post(base + token, data=ENCODED, verify=load.ca)
                    for token in batch
                ]
                await session.gather()
                ok += sum(response.status_code == 200 for response in responses)
            return ok

        await phase(load.warm_up)
        meter = Meter()
        ok = await phase(load.count)
        meter.stop()
    meter.report(load.count, ok, "niquests", "urllib3-future", "jh2")


asyncio.run(main())
