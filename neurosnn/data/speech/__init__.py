"""From sound to spikes and frames, and from frames back to phones."""
