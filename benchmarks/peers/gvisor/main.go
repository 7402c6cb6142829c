// The benchmark service on gVisor's netstack, as a library in a Go program.
//
// netstack-service tun NAME ADDRESS MTU PORT: on a TUN device. netstack-service packet NAME ADDRESS MTU PORT: on an
// AF_PACKET socket of an interface, with segmentation offload, which is how runsc's own network is made.
package main

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/tun"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// packetVnetHdr is PACKET_VNET_HDR of packet(7), which package syscall lacks.
const packetVnetHdr = 15

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func fine(err tcpip.Error) {
	if err != nil {
		log.Fatal(err)
	}
}

func linkOn(kind, name string, mtu uint32) stack.LinkEndpoint {
	options := &fdbased.Options{MTU: mtu}
	switch kind {
	case "tun":
		descriptor, err := tun.Open(name)
		must(err)
		options.FDs = []int{descriptor}
	case "packet":
		device, err := net.InterfaceByName(name)
		must(err)
		descriptor, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, int(uint16(syscall.ETH_P_ALL)<<8|uint16(syscall.ETH_P_ALL)>>8))
		must(err)
		must(syscall.Bind(descriptor, &syscall.SockaddrLinklayer{Protocol: 0x0300, Ifindex: device.Index}))
		must(syscall.SetsockoptInt(descriptor, syscall.SOL_PACKET, packetVnetHdr, 1))
		for _, option := range []int{syscall.SO_RCVBUFFORCE, syscall.SO_SNDBUFFORCE} {
			must(syscall.SetsockoptInt(descriptor, syscall.SOL_SOCKET, option, 4<<20))
		}
		options.FDs = []int{descriptor}
		options.EthernetHeader = true
		options.Address = tcpip.LinkAddress(device.HardwareAddr)
		options.GSOMaxSize = 65536
		options.RXChecksumOffload = true
		options.PacketDispatchMode = fdbased.RecvMMsg
	}
	link, err := fdbased.New(options)
	must(err)
	return link
}

func serve(connection net.Conn) {
	defer connection.Close()
	purpose := make([]byte, 1)
	if _, err := io.ReadFull(connection, purpose); err != nil {
		return
	}
	buffer := make([]byte, 1<<18)
	switch purpose[0] {
	case 'I':
		total := uint64(0)
		for {
			count, err := connection.Read(buffer)
			total += uint64(count)
			if err != nil {
				break
			}
		}
		connection.Write(binary.BigEndian.AppendUint64(nil, total))
	case 'O':
		for {
			if _, err := connection.Write(buffer); err != nil {
				return
			}
		}
	case 'R':
		for {
			count, err := connection.Read(buffer[:64])
			if err != nil {
				return
			}
			connection.Write(buffer[:count])
		}
	}
}

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: netstack-service tun|packet NAME ADDRESS MTU PORT")
	}
	mtu, err := strconv.Atoi(os.Args[4])
	must(err)
	port, err := strconv.Atoi(os.Args[5])
	must(err)
	network := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	fine(network.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 8 << 20}
	fine(network.SetTransportProtocolOption(tcp.ProtocolNumber, &receive))
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 8 << 20}
	fine(network.SetTransportProtocolOption(tcp.ProtocolNumber, &send))
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	fine(network.SetTransportProtocolOption(tcp.ProtocolNumber, &moderate))
	fine(network.CreateNIC(1, linkOn(os.Args[1], os.Args[2], uint32(mtu))))
	address := tcpip.AddrFrom4(netip.MustParseAddr(os.Args[3]).As4())
	fine(network.AddProtocolAddress(1, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address, PrefixLen: 24},
	}, stack.AddressProperties{}))
	network.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	listener, err := gonet.ListenTCP(network, tcpip.FullAddress{NIC: 1, Addr: address, Port: uint16(port)}, ipv4.ProtocolNumber)
	must(err)
	for {
		connection, err := listener.Accept()
		must(err)
		go serve(connection)
	}
}
