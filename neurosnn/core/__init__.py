"""What every other part uses: messages, values with units, names, files."""
