"""Hydra's groups: one folder a group, one file a choice. Ships in the wheel as `ablations.conf`."""
