"""The variables of a connection, one a row: what they are, and what parking, comparing and restoring do with them.

`python -m catenet.stack.tcp.parking.generate` writes from this table the declarations of the classes it names, all of
`snapshot.py`, `timing.py`, `setup.py` and `encoded.py`. A new variable is a new row.

Columns are separated by two spaces or more: name, type, value at the start, what parking does, unit (`-`: none), and
meaning. Positions are relative to the initial sequence numbers that they never wrap from, times are in microseconds
(`us`) of `TcpLayer.us`; 0 stands for "never" in both. What parking does:

    component  an object whose variables have a section of their own
    pool  the pool takes it from the connection's name or endpoint, and sets it by itself
    una, nxt  equals `snd_una` (`rcv_nxt`) when the connection may be parked, which keeps that position
    idle  has its starting value, or the one given after `=`, when the connection may be parked
    set-up  says how the connection was set up: compared, equal in all connections of a template
    loss  tells of losses: compared; a template is made of connections without any only
    rest  has to do with what is under way: compared likewise
    none  as `loss`, but must be None
    history  changes in any conversation: kept in `Snapshot` as it is
    history:X  kept in `Snapshot` as the distance from X: positions `una` and `nxt`, bytes of the streams `sent` and
                `got`, `heard_ms` (milliseconds of when the peer was last heard)
    time  a time: kept in `TimingSnapshot` as the distance from when the peer was last heard
    track  a list of (time, value): kept in `TimingSnapshot`, times as distances

What tells the most histories apart stands first, as snapshots are compared in this order.

A line in brackets begins a section: a name for the generated functions, the class, its file below `src/catenet`, and
how the class is reached from the connection `c`. Where the file is `-` the class declares its variables by itself, and
a row is name and parking only.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["TABLE", "Row", "Section", "parse"]

KINDS: Final = frozenset(
    ("component", "pool", "una", "nxt", "idle", "set-up", "loss", "rest", "none", "history", "time", "track", "heard")
)
BASES: Final = frozenset(("", "una", "nxt", "sent", "got", "heard_ms"))

TABLE: Final = """
[counters  Connection  stack/tcp/control/connection.py  c]
segments_in   int  0  history       segments  received
segments_out  int  0  history       segments  sent
data_segments_in  int  0  history       segments  received with data
data_segments_out  int  0  history       segments  sent with data
bytes_received  int  0  history:got   bytes     received in order
bytes_sent    int  0  history:sent  bytes     sent, retransmissions included
bytes_acked   int  0  history:sent  bytes     acknowledged
bytes_retransmitted  int  0  loss          bytes     retransmitted
total_retransmits  int  0  loss          segments  retransmitted
rcv_ooo_packets  int  0  loss          segments  received out of order

[components  Connection  stack/tcp/control/connection.py  c]
chrono       Chrono         Chrono()      component  -  what holds the sender up
delayed_ack  DelayedAck     DelayedAck()  component  -  when the next ACK is sent
rack         Rack           Rack()        component  -  detection of losses by time
recovery     Recovery       Recovery()    component  -  what one recovery from losses remembers
tuning       ReceiveTuning  ReceiveTuning()  component  -  growth of the receive buffer

[identity  Connection  stack/tcp/control/connection.py  c]
layer          TcpLayer       -              pool     -         TCP of the host
endpoint       TcpEndpoint | None  None           pool     -         socket, None once the program gave it up
source         bytes          -              pool     -         own address
destination    bytes          -              pool     -         the peer's address
source_port    int            -              pool     -         own port
destination_port  int            -              pool     -         the peer's port
key            bytes          b""            pool     -         names as in a packet, its key in the table
header         Header | None  None           pool     -         what its segments have in common; made on demand
iss            int            0              pool     position  initial send sequence number
irs            int            0              pool     position  initial receive sequence number
congestion     Congestion     -              pool     -         congestion control
state          int            states.CLOSED  idle=states.ESTABLISHED  -         state of RFC 9293 3.3.2 (`states`)
error          Fault | None   None           idle     -         fatal error, until the program has heard of it
soft_error     Fault | None   None           idle     -         ICMP error that may pass (RFC 5461)
shutdown       int            0              idle     bits      1: the reading side has ended, 2: the writing side
work           int            0              idle     bits      what calls left to be done, WORK bits of `flush`
interface      int            0              set-up   -         index of the interface it is bound to, 0: any
pseudo         int            0              history  -         checksum of the pseudo header, without the length
hop_limit      int | None     None           set-up   hops      hop limit of its packets, None: the host's
traffic_class  int            0              set-up   -         traffic class of its packets, without ECN
options        Options        {}             set-up   -         socket options by their Linux names
locks          int            0              set-up   bits      buffers whose size the program fixed (SNDBUF_LOCK)
metrics        RouteMetrics | None  None           idle     -         hints of its route, in the handshake

[extensions  Connection  stack/tcp/control/connection.py  c]
ecn           int            0      set-up   bits  state of ECN (`ECN_OK` and others)
accecn        AccEcn | None  None   idle     -     Accurate ECN, if negotiated
fast_open     Handshake | None  None   idle     -     TCP Fast Open, during the handshake
tx_timestamps  TxTimestamps | None  None  idle     -     transmit timestamps (SO_TIMESTAMPING)
memory        ReceiveMemory | None  None   idle     -     cost of received packets (`tcp_truesize`)
mtu_probing   MtuProbing | None  None   idle     -     path MTU probing (RFC 4821), if on
syn_data      int            0      loss     -     Fast Open: 1: the SYN carried data, 2: it was taken
timestamps    bool           False  set-up   -     whether segments carry timestamps (RFC 7323)
ts_offset     int            0      history  ms    added to the clock for own timestamps
ts_recent     int            0      history:heard_ms  ms    timestamp to echo
ts_recent_at  int            0      time     us    when `ts_recent` was set

[sequence  Connection  stack/tcp/control/connection.py  c]
write_seq   int  0    una          position  end of what the program has written
snd_wnd     int  0    history      bytes     the peer's window
snd_wl1     int  0    history:nxt  position  sequence number of the last window update
snd_scale   int  0    set-up       bits      shift of the peer's window
snd_up      int  0    history:una  position  end of urgent data written
snd_sml     int  0    history:una  position  end of the last segment below the MSS (Minshall)
pushed      int  0    history:una  position  end of what PSH was asked for
run_start   int  0    history:una  position  where the current run of writes without PSH began
max_window  int  0    history      bytes     largest window the peer has offered
rcv_nxt     int  0    nxt          position  next position expected
copied      int  0    nxt          position  next position the program reads
rcv_wup     int  0    history:nxt  position  `rcv_nxt` when the window was last advertised
rcv_wnd     int  0    history      bytes     window advertised last, from `rcv_wup`
rcv_scale   int  0    set-up       bits      shift of the own window
mss_clamp   int  536  set-up       bytes     bound of `mss` by the peer's and the own MSS
peer_mss    int  536  set-up       bytes     MSS option of the peer
advertised_mss  int  0    set-up       bytes     own MSS option
path_mtu    int  0    set-up       bytes     MTU of the path
base_mss_header  int  20   set-up       bytes     TCP header without options that vary

[sender  Connection  stack/tcp/control/connection.py  c]
sent         list[Sent]  []       idle     -         retransmission queue, oldest first
pending      deque[bytes | memoryview]  deque()  idle     -         data written and never sent
pending_offset  int         0        rest     bytes     how much of `pending[0]` was sent
push_marks   deque[int]  deque()  idle     position  ends of writes, which PSH marks
record_ends  deque[int] | None  None     idle     position  ends of records (MSG_EOR)
due          int         0        rest     position  end of writes that later ones do not delay; 0: none
buffered     int         0        idle     bytes     written and not yet acknowledged
send_buffer  int         0        history  bytes     size of the send buffer
no_space     bool        False    rest     -         whether a writer found the buffer full
nagle        int         0        set-up   bits      Nagle's algorithm (`NAGLE_OFF` and others)
fin_queued   bool        False    rest     -         whether a FIN ends what is written
write_shut   bool        False    rest     -         whether the program has shut writing down
urgent_mode  bool        False    rest     -         whether urgent data is not yet acknowledged
departed_at  int         0        time     us        when a segment last left

[window  Connection  stack/tcp/control/connection.py  c]
cwnd_used    int  0  history      segments  most in flight since the window was last used up
cwnd_stamp   int  0  time         us        when the window was last used up or set
cwnd_usage_seq  int  0  history:una  position  end of the flight that `cwnd_limited` is about
paced_until  int  0  rest         us        when the next burst may leave

[receiver  Connection  stack/tcp/control/connection.py  c]
received      deque[bytes | memoryview]  deque()  idle     -         data in order that waits to be read
received_offset  int         0        rest     bytes     how much of `received[0]` was read
reassembly    Reassembly | None  None     idle     -         what arrived out of order
receive_buffer  int         0        history  bytes     size of the receive buffer
rcv_ssthresh  int         0        history  bytes     bound of the window, grows by what arrives
window_clamp  int         0        history  bytes     largest window ever to offer
read_count    int         0        rest     bytes     read since the last `flush`
rcv_urgent    int         0        rest     position  end of urgent data that the peer announced
urgent_byte   int | None  None     idle     -         urgent byte, out of line
urgent_flags  int         0        rest     bits      state of urgent data (`urgent`)
fin_received  bool        False    rest     -         whether the peer's FIN is in order
last_data_in  int         0        time     us        when data last arrived
last_heard    int         0        heard    us        when the peer was last heard
last_oow_at   int         0        rest     us        when a segment out of the window was last answered
last_ack_sent_at  int         0        time     us        when an ACK was last sent

[ack  Connection  stack/tcp/control/connection.py  c]
ack_pending  int  0    rest     bits   which ACK is due (`ACK_SCHEDULED` and others)
rx_max_mss   int  536  history  bytes  segments that come in, as far as known (rcv_mss)

[scoreboard  Connection  stack/tcp/control/connection.py  c]
sack_high     int         0      loss    position  end of the highest segment SACKed
dsack_seen    bool        False  loss    -         whether a D-SACK was ever received
dsack_duplicates  int         0      loss    segments  reported as duplicate by D-SACKs
reordering    int         3      set-up  segments  displacement that is no loss yet
reordering_seen  int         0      loss    -         how often the network was seen to reorder
tlp_high_seq  int | None  None   none    position  `snd_nxt` at the tail loss probe under way
tlp_retransmission  bool        False  loss    -         whether that probe was a retransmission
reneging      bool        False  loss    -         whether the peer has thrown SACKed data away

[timers  Connection  stack/tcp/control/connection.py  c]
rto            int  1_000_000  history  us  retransmission timeout
backoff        int  0          loss     -   doublings of `rto`
retransmits    int  0          loss     -   timeouts in a row
probes_out     int  0          rest     -   probes of the window or keep-alives not answered
probe_stamp    int  0          rest     us  when the first of these was sent
user_timeout   int  0          set-up   us  TCP_USER_TIMEOUT
timer          int  NO_TIMER   rest     -   what `timer_at` is for (`RTO_TIMER` and others)
timer_at       int  NEVER      idle     us  deadline of retransmission, probes and reordering
delack_at      int  NEVER      idle     us  deadline of the delayed ACK
keepalive_at   int  NEVER      idle     us  deadline of the keep-alive, or of FIN-WAIT-2
pace_at        int  NEVER      rest     us  when a paced sender may go on
compressed_at  int  NEVER      rest     us  deadline of the ACK held back
wake_at        int  NEVER      idle     us  earliest deadline in the heap

[rack  Rack  stack/tcp/recovery/state.py  c.rack]
latest_at     int   0      time         us        RACK.xmit_ts: when the newest delivered was sent
latest_end    int   0      history:una  position  RACK.end_seq: its end
rtt           int   0      history      us        RACK.rtt
latest_again  bool  False  loss         -         whether the newest delivered was a retransmission
advanced      bool  False  history      -         whether there is news for the detection of losses
steps         int   1      loss         -         RACK.reo_wnd_mult
persist       int   0      loss         -         RACK.reo_wnd_persist: recoveries that it stays
dsack_seen    bool  False  loss         -         whether a D-SACK came since it was last widened
last_delivered  int   0      loss         segments  `delivered` when it was last widened

[recovery  Recovery  stack/tcp/recovery/state.py  c.recovery]
high_seq       int         0      loss  position  `snd_nxt` when the congestion state was entered
undo_marker    int | None  None   none  position  `snd_una` at the start of what may be undone
undo_retransmits  int         0      loss  segments  retransmitted since, not reported as duplicate
retransmit_stamp  int         0      loss  us        when the first retransmission left
prior_ssthresh  int         0      loss  segments  threshold to restore by an undo; 0: none
prr_delivered  int         0      loss  segments  PRR: delivered in this recovery
prr_out        int         0      loss  segments  PRR: sent in this recovery
frto           bool        False  loss  -         F-RTO: whether the timeout may be spurious

[chrono  Chrono  stack/tcp/sending/chrono.py  c.chrono]
kind   int  0          rest     -   what holds it up (`chrono.BUSY` and others) or 0
since  int  0          time     us  since when
spent  tuple[int, int, int]  (0, 0, 0)  history  us  time held up by each kind

[delayed_ack  DelayedAck  stack/tcp/receiving/delayed_ack.py  c.delayed_ack]
quick       int  0  history  segments  to acknowledge at once
pingpong    int  0  history  -         turns of an interactive conversation so far
ato         int  0  history  us        delay of ACKs; 0: nothing has arrived
last_segment_size  int  0  history  bytes     last small segment, 0: none
compressed  int  0  rest     -         duplicate ACKs held back
compressed_seq  int  0  rest     position  `rcv_nxt` that these are about
duplicates_now  int  0  loss     -         duplicate ACKs sent at once for that

[tuning  ReceiveTuning  stack/tcp/receiving/window.py  c.tuning]
rtt        int  0  history      us/8      round trip as the receiver measures it
rtt_at     int  0  time         us        when the window that is being timed began
rtt_seq    int  0  history:nxt  position  end of that window
space      int  0  history      bytes     most read in a round trip
space_at   int  0  time         us        when the round trip that is being watched began
space_seq  int  0  history:nxt  position  `copied` at that time

[congestion  Sender  -  c]
settings       pool
rtt            component
rate           component
cwnd           history
ssthresh       history
cwnd_count     loss
cwnd_limited   history
max_packets_out  history
prior_cwnd     loss
pacing_rate    history
ca_state       idle=CA_OPEN
mss            set-up
snd_una        una
snd_nxt        una
packets_out    rest
sacked_out     rest
lost_out       rest
retransmitted_out  rest
sack_ok        set-up
delivered      history
delivered_ce   loss
lost           loss
app_limited    history
last_data_out  time

[rtt  RttEstimator  -  c.rtt]
srtt       history
mdev       history
mdev_max   history
rttvar     history
round_end  history:una
min_track  track

[rate  DeliveryRate  -  c.rate]
first_sent_at  time
delivered_at   time
best_delivered  history
best_interval  history
best_app_limited  history

[cubic  Cubic  -  cubic]
round_end     history:una
round_start   time
last_ack      time
current_rtt   history
last_rtt      history
delay_min     history
samples       history
css_baseline  loss
css_count     loss
css_rounds    loss
found         loss
count         loss
ack_count     loss
epoch_start   loss
k             loss
last_cwnd     loss
last_max      loss
last_time     loss
origin        loss
prior         loss
reno_cwnd     loss
target        loss
"""


class Row(NamedTuple):
    """One variable."""

    name: str
    type: str
    start: str
    """Expression of the value it starts with; `-`: whoever makes the object sets it."""
    kind: str
    """What parking does."""
    detail: str
    """What a `history` is relative to, or the value of an `idle` variable."""
    unit: str
    meaning: str


class Section(NamedTuple):
    """Variables of one class."""

    name: str
    kind: str
    """Name of the class."""
    path: str
    """File that declares them; `-`: by hand."""
    owner: str
    """Expression that leads from the connection `c` to them."""
    rows: list[Row]


def parse(table: str = TABLE) -> list[Section]:
    """The table's sections.

    Raises:
        ValueError: a line has too few columns, or says something that is not known.
    """
    sections: list[Section] = []
    for number, line in enumerate(table.splitlines()):
        words = re.split(r"  +", line.strip("[]"))
        if line.startswith("["):
            if len(words) != 4:
                raise ValueError(f"line {number}: a section is a name, a class, a file and an expression: {line!r}")
            sections.append(Section(words[0], words[1], words[2], words[3], []))
        elif line:
            sections[-1].rows.append(_row(number, words))
    return sections


def _row(number: int, words: list[str]) -> Row:
    if len(words) == 2:
        words = [words[0], "", "", words[1], "", ""]
    if len(words) != 6:
        raise ValueError(f"line {number}: {len(words)} columns in place of 6: {words[0]}")
    name, kind_of_value, start, parking, unit, meaning = words
    kind, _, detail = parking.replace("=", ":").partition(":")
    if kind not in KINDS or (kind == "history" and detail not in BASES):
        raise ValueError(f"line {number}: {name}: {parking!r} is nothing that parking does")
    return Row(name, kind_of_value, start, kind, detail, unit, meaning)
