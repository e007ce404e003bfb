"""Readouts: neurons that do not spike and whose state is the output of a network."""

from brian2.units.allunits import msecond as ms

from neurosnn.model import NeuronModel, Range, explained

__all__ = ["LeakyReadout"]


@explained
def LeakyReadout(*, tau=20 * ms) -> NeuronModel:
    r"""Leaky integrator of the spikes of a network.

    .. math:: y_k^t = \kappa y_k^{t-1} + \sum_j W_{jk} z_j^t, \qquad \kappa = e^{-dt/\tau}

    The output of a step is y after the spikes of that step have arrived.

    Parameters
    ----------
    tau : Quantity (second), default 20 ms
        Time constant (Bellec 2020, evidence accumulation: 20 ms).

    Returns
    -------
    NeuronModel
        State y, without threshold.

    Raises
    ------
    ValueError
        If `tau` is not a positive time.

    References
    ----------
    Bellec et al., Nat. Commun. 11:3625 (2020), eq. 11.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.LeakyReadout().spikes
    False
    """
    return NeuronModel(
        name="LeakyReadout",
        equations="dy/dt = -y/tau : 1",
        inputs=("y",),
        parameters={"tau": tau},
        ranges={"tau": Range(0 * ms)},
        sources={"tau": "Bellec 2020, evidence accumulation: 20 ms"},
        reference="Bellec et al., Nat. Commun. 11:3625 (2020)",
    )
