/* Simulated worlds on ns-3: world tcp|udp|tcp-star HOSTS VIRTUAL_SECONDS RATE LATENCY_MS. Prints one line of JSON.
 *
 * Hosts in pairs, each pair on its own point-to-point link, one bulk TCP connection (or one constant stream of
 * 1,000-byte datagrams at half the rate) a pair. Packets are those received by any device.
 */
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "ns3/applications-module.h"
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

using namespace ns3;

static uint64_t packets = 0;

static void count(Ptr<const Packet>)
{
    packets++;
}

int main(int words, char **word)
{
    if (words != 6) {
        std::fprintf(stderr, "usage: world tcp|udp HOSTS SECONDS RATE LATENCY_MS\n");
        return 2;
    }
    const bool tcp = std::string(word[1]) == "tcp";
    const unsigned hosts = std::atoi(word[2]);
    const double seconds = std::atof(word[3]);
    const uint16_t port = 9000;
    Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(1448));
    Config::SetDefault("ns3::TcpSocket::SndBufSize", UintegerValue(4 << 20));
    Config::SetDefault("ns3::TcpSocket::RcvBufSize", UintegerValue(4 << 20));
    Config::SetDefault("ns3::TcpSocket::InitialCwnd", UintegerValue(10));
    Config::SetDefault("ns3::DropTailQueue<Packet>::MaxSize", StringValue("1000p"));
    PointToPointHelper link;
    link.SetDeviceAttribute("DataRate", StringValue(word[4]));
    link.SetDeviceAttribute("Mtu", UintegerValue(1500));
    link.SetChannelAttribute("Delay", StringValue(std::string(word[5]) + "ms"));
    InternetStackHelper internet;
    Ipv4AddressHelper addresses;
    addresses.SetBase("10.0.0.0", "255.255.255.252");
    for (unsigned pair = 0; pair < hosts / 2; pair++) {
        NodeContainer nodes;
        nodes.Create(2);
        NetDeviceContainer devices = link.Install(nodes);
        internet.Install(nodes);
        Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
        addresses.NewNetwork();
        InetSocketAddress sink(interfaces.GetAddress(1), port);
        const std::string factory = tcp ? "ns3::TcpSocketFactory" : "ns3::UdpSocketFactory";
        PacketSinkHelper receiver(factory, InetSocketAddress(Ipv4Address::GetAny(), port));
        receiver.Install(nodes.Get(1)).Start(Seconds(0));
        ApplicationContainer sender;
        if (tcp) {
            BulkSendHelper bulk(factory, sink);
            bulk.SetAttribute("SendSize", UintegerValue(65536));
            sender = bulk.Install(nodes.Get(0));
        } else {
            OnOffHelper stream(factory, sink);
            stream.SetConstantRate(DataRate(DataRate(word[4]).GetBitRate() / 2), 1000);
            sender = stream.Install(nodes.Get(0));
        }
        sender.Start(Seconds(0));
        for (unsigned end = 0; end < 2; end++)
            devices.Get(end)->TraceConnectWithoutContext("PhyRxEnd", MakeCallback(&count));
    }
    Simulator::Stop(Seconds(seconds));
    auto started = std::chrono::steady_clock::now();
    Simulator::Run();
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - started;
    std::printf("{\"packets\": %llu, \"virtual\": %f, \"wall\": %f}\n", (unsigned long long)packets, seconds, spent.count());
    Simulator::Destroy();
    return 0;
}
