"""What a call is: methods, status, metadata, interceptors. Opens no connection."""
