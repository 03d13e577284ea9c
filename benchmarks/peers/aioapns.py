"""Drive aioapns. Only host and port are set from outside; the rest is its documented use."""

import asyncio
import ssl
from pathlib import Path

from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol

from peers.contract import KEY_ID, PAYLOAD, TEAM_ID, TOPIC, drive, parse


async def main() -> None:
    """Measure and print."""
    load = parse()
    APNsProductionClientProtocol.APNS_SERVER = load.host
    APNsProductionClientProtocol.APNS_PORT = load.port
    context = ssl.create_default_context(cafile=load.ca)
    context.set_alpn_protocols(["h2"])
    client = APNs(
        key=Path(load.key).read_text(),
        key_id=KEY_ID,
        team_id=TEAM_ID,
        topic=TOPIC,
        max_connections=1,
        ssl_context=context,
    )

    async def send(token: str) -> bool:
        request = NotificationRequest(
            device_token=token, message=PAYLOAD, priority=10, push_type=PushType.ALERT
        )
        return bool((await client.send_notification(request)).is_successful)

    await drive(load, send, "aioapns", "h2", "hpack")


asyncio.run(main())
