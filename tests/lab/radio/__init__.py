"""A small radio world in the lab: virtual radios, access points, stations, and the installed agent there."""
