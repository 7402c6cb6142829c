"""What `catenet connect` and `catenet listen` share: options, ends by URL, watching, recording, the outcome."""
