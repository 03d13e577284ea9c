"""Drive httpx with its HTTP/2: one client, one connection, the token signed once."""

import asyncio
import ssl
import time
from pathlib import Path

import httpx
import jwt

from peers.contract import ENCODED, KEY_ID, TEAM_ID, TOPIC, drive, parse


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
    async with httpx.AsyncClient(
        http2=True,
        verify=ssl.create_default_context(cafile=load.ca),
        base_url=f"https://{load.host}:{load.port}",
        headers=headers,
        limits=httpx.Limits(max_connections=1),
        timeout=httpx.Timeout(60.0),
    ) as client:

        async def send(token: str) -> bool:
            response = await client.post(f"/3/device/{token}", content=ENCODED)
            return bool(response.status_code == httpx.codes.OK)

        await drive(load, send, "httpx", "httpcore", "h2", "hpack")


asyncio.run(main())
