"""What e-prop and backpropagation through time share: the adjoint of a step with a pseudo-derivative."""
