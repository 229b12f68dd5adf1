"""The radio helper: the one service of a box that may change its radios; the agent asks it over a UNIX socket."""
