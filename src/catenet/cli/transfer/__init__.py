"""What catenet get and put share: their options, files that are complete or not there, progress, exit statuses."""
