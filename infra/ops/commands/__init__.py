"""What an operator can ask for, a file each."""
