"""What is asked of AWS: uploads and what became of them, signed requests, what Chalice deployed."""
