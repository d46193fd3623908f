"""What a query met in a document, as a picture."""
