"""The asyncio adapter."""
