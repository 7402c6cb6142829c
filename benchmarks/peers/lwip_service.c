/* The benchmark service on Debian's lwIP (liblwip-dev), Ethernet over a TAP device: service TAP ADDRESS/24 GATEWAY PORT.
 *
 * lwIP's raw interface, called from the thread that reads the device: the shortest way through lwIP, no hand-over
 * between threads. Window and buffers are those that Debian's library was built with (TCP_WND 65,535). No checksum
 * offload: lwIP has none on TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <lwip/etharp.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/sys.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <netif/ethernet.h>

enum { FRAME = 1514 + 4 };

static int device = -1;

static err_t put_frame(struct netif *netif, struct pbuf *frame)
{
    char copy[FRAME];
    (void)netif;
    if (frame->tot_len > sizeof copy)
        return ERR_BUF;
    pbuf_copy_partial(frame, copy, frame->tot_len, 0);
    return write(device, copy, frame->tot_len) < 0 ? ERR_IF : ERR_OK;
}

static err_t set_up(struct netif *netif)
{
    static const uint8_t hardware[6] = {2, 0, 0, 0, 0, 2};
    netif->name[0] = 't';
    netif->name[1] = 'p';
    netif->output = etharp_output;
    netif->linkoutput = put_frame;
    netif->mtu = 1500;
    netif->hwaddr_len = 6;
    memcpy(netif->hwaddr, hardware, 6);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void open_device(const char *name)
{
    struct ifreq request;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    device = open("/dev/net/tun", O_RDWR);
    if (device < 0 || ioctl(device, TUNSETIFF, &request) < 0) {
        perror(name);
        exit(1);
    }
}

static const char block[1 << 16];

struct service {
    char purpose;
    uint64_t total;
};

static void fill(struct tcp_pcb *connection)
{
    u16_t room = tcp_sndbuf(connection);
    /* Not copied: the block is constant. */
    if (room >= TCP_MSS && tcp_write(connection, block, room, 0) == ERR_OK)
        tcp_output(connection);
}

static err_t sent(void *argument, struct tcp_pcb *connection, u16_t size)
{
    (void)size;
    if (((struct service *)argument)->purpose == 'O')
        fill(connection);
    return ERR_OK;
}

static err_t finish(struct service *service, struct tcp_pcb *connection)
{
    if (service->purpose == 'I') {
        uint8_t answer[8];
        for (int i = 0; i < 8; i++)
            answer[i] = (uint8_t)(service->total >> (56 - 8 * i));
        tcp_write(connection, answer, sizeof answer, TCP_WRITE_FLAG_COPY);
    }
    tcp_recv(connection, NULL);
    tcp_sent(connection, NULL);
    tcp_err(connection, NULL);
    free(service);
    return tcp_close(connection);
}

static err_t received(void *argument, struct tcp_pcb *connection, struct pbuf *data, err_t error)
{
    struct service *service = argument;
    char message[2048];
    u16_t skip = 0;
    if (data == NULL || error != ERR_OK)
        return finish(service, connection);
    if (service->purpose == 0) {
        service->purpose = *(char *)data->payload;
        skip = 1;
    }
    service->total += data->tot_len - skip;
    if (service->purpose == 'O') {
        fill(connection);
    } else if (service->purpose == 'R') {
        u16_t size = pbuf_copy_partial(data, message, sizeof message, skip);
        tcp_write(connection, message, size, TCP_WRITE_FLAG_COPY);
        tcp_output(connection);
    }
    tcp_recved(connection, data->tot_len);
    pbuf_free(data);
    return ERR_OK;
}

static void failed(void *argument, err_t error)
{
    (void)error;
    free(argument);
}

static err_t accepted(void *argument, struct tcp_pcb *connection, err_t error)
{
    (void)argument;
    if (error != ERR_OK || connection == NULL)
        return ERR_VAL;
    tcp_nagle_disable(connection);
    tcp_arg(connection, calloc(1, sizeof(struct service)));
    tcp_recv(connection, received);
    tcp_sent(connection, sent);
    tcp_err(connection, failed);
    return ERR_OK;
}

static void take_frames(struct netif *netif)
{
    char frame[FRAME];
    for (;;) {
        ssize_t size = read(device, frame, sizeof frame);
        if (size <= 0)
            continue;
        LOCK_TCPIP_CORE();
        struct pbuf *copy = pbuf_alloc(PBUF_RAW, (u16_t)size, PBUF_RAM);
        if (copy != NULL) {
            pbuf_take(copy, frame, (u16_t)size);
            if (ethernet_input(copy, netif) != ERR_OK)
                pbuf_free(copy);
        }
        UNLOCK_TCPIP_CORE();
    }
}

int main(int count, char **words)
{
    static struct netif netif;
    ip4_addr_t address, mask, gateway;
    if (count != 5) {
        fprintf(stderr, "usage: service TAP ADDRESS GATEWAY PORT\n");
        return 2;
    }
    open_device(words[1]);
    ip4addr_aton(words[2], &address);
    ip4addr_aton("255.255.255.0", &mask);
    ip4addr_aton(words[3], &gateway);
    tcpip_init(NULL, NULL);
    LOCK_TCPIP_CORE();
    netif_add(&netif, &address, &mask, &gateway, NULL, set_up, ethernet_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
    struct tcp_pcb *listener = tcp_new();
    tcp_bind(listener, IP_ADDR_ANY, (u16_t)atoi(words[4]));
    listener = tcp_listen(listener);
    tcp_accept(listener, accepted);
    UNLOCK_TCPIP_CORE();
    take_frames(&netif);
}
