"""``cauldron plan``: what a stage would hold and what building it costs, before anything runs."""
