"""The gradient of an event-driven network by autograd: spike times as functions of all parameters.

A spike of :func:`reference.event_driven.simulate` at t* is a root of the margin ``g(t, p) = v - v_th``.
With t* a constant and ``g'`` the slope there, ``t = t* - g(t*, p)/g'`` has the value t* and, by the
theorem of implicit functions, the derivative ``-(dg/dp)/g'`` of the root. All that follows is closed
form: v is a sum of kernels over arrivals since the last reset. No adjoint occurs.
"""

import torch

from reference.event_driven import INPUT, OUTPUT


def gradient(net, run, times, channels, label):
    """Loss and its gradient by every weight, delay and time constant, in float64.

    Returns
    -------
    value : float
    gradient : dict
        Arrays by "<link>.w", "<link>.delay" and (layer, "tau_m" or "tau_s").
    """
    leaves = {}
    for name, link in net.links.items():
        for kind in ("w", "delay"):
            leaves[f"{name}.{kind}"] = tensor(getattr(link, kind))
    for k, layer in enumerate(net.layers):
        for kind in ("tau_m", "tau_s"):
            leaves[k, kind] = tensor(getattr(layer, kind))
    sent = {(INPUT, int(c)): [] for c in channels}
    for time, channel in zip(times, channels, strict=True):
        sent[INPUT, int(channel)].append(torch.tensor(float(time), dtype=torch.float64))
    for time, layer, neuron in sorted(run.spikes):
        margin, slope = crossing(net, leaves, sent, layer, neuron, time)
        sent.setdefault((layer, neuron), []).append(time - margin / slope.detach())
    mean = outputs(net, leaves, sent)
    value = torch.logsumexp(mean, 0) - mean[label]
    value.backward()
    found = {
        key: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for key, leaf in leaves.items()
    }
    return value.item(), {key: array.numpy() for key, array in found.items()}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def arrivals(net, leaves, sent, target, neuron, before):
    """Time and weight of every spike that reaches a neuron before a time."""
    for name, link in net.links.items():
        if link.target == target:
            for (source, i), spikes in sent.items():
                if source == link.source:
                    for spike in spikes:
                        time = spike + leaves[f"{name}.delay"][i]
                        if time.item() < before:
                            yield time, leaves[f"{name}.w"][i, neuron]


def crossing(net, leaves, sent, k, j, time):
    """Margin and slope of the membrane at a time, from what has arrived until then."""
    layer, tau_m, tau_s = net.layers[k], leaves[k, "tau_m"][j], leaves[k, "tau_s"][j]
    c = tau_s / (tau_s - tau_m)
    last = sent.get((k, j))
    release = last[-1] + layer.t_ref if last else None
    v = current = carried = torch.zeros((), dtype=torch.float64)
    for arrival, w in arrivals(net, leaves, sent, k, j, time):
        if release is not None and arrival.item() < release.item():
            carried = carried + w * torch.exp(-(release - arrival) / tau_s)
            continue
        slow, fast = torch.exp(-(time - arrival) / tau_m), torch.exp(-(time - arrival) / tau_s)
        v, current = v + w * c * (fast - slow), current + w * fast
    if release is not None:
        slow, fast = torch.exp(-(time - release) / tau_m), torch.exp(-(time - release) / tau_s)
        v, current = v + carried * c * (fast - slow), current + carried * fast
    return v - layer.v_th, (current - v) / tau_m


def outputs(net, leaves, sent):
    """Time average of each output."""
    n_out = next(link.w.shape[1] for link in net.links.values() if link.target == OUTPUT)
    found = []
    for k in range(n_out):
        total = torch.zeros((), dtype=torch.float64)
        for arrival, w in arrivals(net, leaves, sent, OUTPUT, k, net.duration):
            left = net.duration - arrival
            slow = net.tau_m * -torch.expm1(-left / net.tau_m)
            if net.tau_s:
                fast = net.tau_s * -torch.expm1(-left / net.tau_s)
                slow = net.tau_s / (net.tau_s - net.tau_m) * (fast - slow)
            total = total + w * slow / net.duration
        found.append(total)
    return torch.stack(found)
