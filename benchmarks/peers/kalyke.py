"""Drive kalyke-apns. Only the address is set from outside; it makes a client for each message."""

import asyncio

from kalyke import ApnsClient, ApnsConfig, ApnsPushType

from peers.contract import KEY_ID, PAYLOAD, TEAM_ID, TOPIC, drive, parse


async def main() -> None:
    """Measure and print; the authority is trusted through the environment (SSL_CERT_FILE)."""
    load = parse()

    class Client(ApnsClient):  # type: ignore[misc] # Any, where it is not installed
        @property
        def _base_url(self) -> str:
            return f"https://{load.host}:{load.port}"

    client = Client(
        use_sandbox=False, team_id=TEAM_ID, auth_key_id=KEY_ID, auth_key_filepath=load.key
    )
    config = ApnsConfig(topic=TOPIC, push_type=ApnsPushType.ALERT)

    async def send(token: str) -> bool:
        # Raises unless the answer is 200.
        return bool(await client.send_message(token, PAYLOAD, config))

    await drive(load, send, "kalyke-apns", "httpx2", "h2", "hpack")


asyncio.run(main())
