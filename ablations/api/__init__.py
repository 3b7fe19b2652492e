"""The front door for Python: what `import ablations` offers. `ablations/__init__.py` says which file has each name."""
