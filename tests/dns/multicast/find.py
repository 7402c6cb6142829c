"""A program that finds services and prints what happens to them, until COUNT are gone: find.py TYPE COUNT."""

import asyncio
import sys

from catenet.dns.multicast import browse, host_addresses, resolve_service, service_types


async def main(kind: str, count: int) -> None:
    async with browse(kind) as changes:
        async for change in changes:
            service = change.service
            print(change.kind, service.name, service.host, service.port, dict(service.properties), flush=True)
            if change.kind == "found":
                same = await resolve_service(service.name, service.type)
                print("resolved", same.name, same.port, flush=True)
                addresses = await host_addresses(service.host)
                print("addresses", set(addresses) >= set(service.addresses[:1]), await service_types(), flush=True)
            count -= change.kind == "gone"
            if not count:
                return


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
