"""Loss detection and recovery, one file per mechanism; the state machine that joins them is `machine`."""
