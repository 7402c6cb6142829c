"""BBR version 3 (draft-ietf-ccwg-bbr-06): a model of the path instead of losses.

The model is the largest recent rate of delivery, the smallest recent round trip time, and how much in flight was found
to be too much. Segments leave at the rate (paced), and what is in flight stays near their product. `variables` has the
state, `path` what keeps the model, `loss` what losses change in it, `states` and `machine` the state machine, `control`
pacing rate and window, `controller` what the connection calls.

Where this differs from the draft: volumes are counted in segments, congestion marks count as losses (`loss`), and what
an undo restores is saved once per recovery, before its first loss is noted. Read literally, the pseudocode saves it
anew for every loss after the one that ended a probe, and with it forgets that there was a probe.
"""

from catenet.control.bbr.controller import Bbr

__all__ = ["Bbr"]
