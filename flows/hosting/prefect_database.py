"""Prefect's database, brought up to date once: its tables, and the block types (where notifications go, and such).

A Prefect server does both when it starts. Of several that start at the same moment all but one would end with an
error; theirs is therefore switched off (flows/hosting/cluster.py), and this is done before.
"""

from __future__ import annotations

import asyncio


async def bring_up_to_date() -> None:
    """On the database of PREFECT_SERVER_DATABASE_CONNECTION_URL. Doing it again changes nothing."""
    from prefect.server.database import provide_database_interface
    from prefect.server.models.block_registration import run_block_auto_registration

    database = provide_database_interface()
    await database.create_db()
    async with await database.session() as session:
        await run_block_auto_registration(session=session)


if __name__ == "__main__":
    asyncio.run(bring_up_to_date())
