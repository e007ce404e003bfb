"""Plain numpy references that the package is compared with; numpy is their only import."""
