"""The front door for Python: what `import ablations` offers, each name in the file that its __init__ says."""
