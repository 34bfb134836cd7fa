"""Tables of primitive functions, one per way of running a net; `kopal.nets.run` walks, these compute."""
