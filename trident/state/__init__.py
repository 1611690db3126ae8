"""The state of users in Redis: keys, binary layouts, one pipelined round trip."""
