"""What any protocol needs to become a client or a server: listening, limits, deadlines. Knows no protocol itself."""
