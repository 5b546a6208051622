"""HTTP below the API: sessions, back-off, library errors, redaction."""
