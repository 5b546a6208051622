"""The conversation with the Oleria API: what is asked, how it is sent, and the token that goes with it."""
