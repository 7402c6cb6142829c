"""Print this host's interfaces and their addresses, IPv4 and IPv6."""

import ifaddr


def main() -> None:
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if ip.is_IPv4:
                print(f"{adapter.nice_name:<12} IPv4  {ip.ip}/{ip.network_prefix}")
            else:
                address, _flow, scope = ip.ip
                zone = f"%{adapter.nice_name}" if scope else ""
                print(f"{adapter.nice_name:<12} IPv6  {address}{zone}/{ip.network_prefix}")


if __name__ == "__main__":
    main()
