"""What saved records say: functions over them, without torch, files or clocks."""
