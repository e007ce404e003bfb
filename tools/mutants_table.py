"""The changes of tools/mutants.py: one line each, and the quickest tests that should notice.

`old` stands exactly once in `file`; it may hold more lines where that makes it unique. `tests` are files
or tests below tests/, `k` a pytest expression. The most telling ones first: what passed before stands at
the top.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One change and who should notice it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    k: str = ""


GRADIENT = "test_engine_gradient.py"
NUMPY = GRADIENT + "::test_two_layers_with_delays_equal_online_eprop_in_numpy"
FEEDBACK = GRADIENT + "::test_feedback_and_rate_regularization"
BPTT = GRADIENT + "::test_bptt_equals_numpy_and_not_eprop"
TERMS = "test_eventprop_terms.py"
RATE = TERMS + "::test_firing_rate_term_in_closed_form"
TABLE_1 = "test_eventprop.py::test_general_formula_is_table_1_of_wunderlich_and_pehle"
EXACT = "test_eventprop.py::test_gradient_equals_differences_of_exact_simulation"
EVENTS = "test_eventprop_events.py::test_gradient_equals_differences"
SPIKES = "test_engine.py::test_spikes_of_two_layers_equal_stock_brian2"
NAMED_SPIKES = "test_contract.py::test_spikes_and_output_equal_stock_brian2[eprop]"
TRACES = "test_eprop_online.py::test_derived_traces_equal_the_published_strings"
DEFINITION = "test_eventprop_losses.py::test_engine_has_the_value_and_the_error_of_the_definition"
DERIVATIVE = "test_losses.py::test_error_is_the_derivative_of_the_loss"
MOMENT = "test_learners.py::test_every_update_has_the_learning_rate_of_its_moment"
CONTRACT = "test_learners.py::test_contract"
TORCH_CONTRACT = "test_torch_training.py::test_contract"
PLAIN_LOOP = "test_torch_training.py::test_a_plain_loop_comes_to_the_same_bits"
TORCH_STEPS = "test_torch_neuron.py::test_every_step_equals_stock_brian2"
AUTOGRAD = "test_engine_torch.py::test_gradient_equals_autograd"
EQUILIBRIUM = "test_equilibrium_engine.py::test_engine_equals_brian2"
EPOCH = "test_eprop_training.py::test_an_epoch_in_one_simulation_equals_steps_of_the_trainer"

SURROGATE = "neurosnn/rules/surrogate/"
EVENTPROP = "neurosnn/rules/eventprop/"
ENGINE = "neurosnn/engine/"

MUTANTS: tuple[Mutant, ...] = (
    # -- what once passed all tests ---------------------------------------------------------------
    Mutant(
        "eventprop: sign of the firing-rate term",
        EVENTPROP + "layer_eventprop.jinja",
        "shift = worth/slope + count_gradient[j];",
        "shift = worth/slope - count_gradient[j];",
        (RATE + "[10-0.3-0.3]",),
    ),
    Mutant(
        "eventprop: firing-rate term without 1/T",
        EVENTPROP + "trial_eventprop.jinja",
        "*excess/duration);",
        "*excess);",
        (RATE + "[10-0.3-0.3]",),
    ),
    Mutant(
        "surrogate: step of the readout's coefficients",
        SURROGATE + "layer_surrogate.jinja",
        "h_{{ name }}.data() + (last ? step : step + 1)*n;\n        {%- endfor %}\n"
        "        for (int64_t j = 0; j < n; j++) {",
        "h_{{ name }}.data() + step*n;\n        {%- endfor %}\n"
        "        for (int64_t j = 0; j < n; j++) {",
        (GRADIENT + "::test_coefficients_of_a_nonlinear_readout_are_those_of_their_step[eprop]",),
    ),
    Mutant(
        "eprop: global feedback without the root",
        "neurosnn/rules/eprop/rule.py",
        "n**-0.5",
        "n**-1.0",
        (GRADIENT + "::test_global_feedback_is_one_over_the_root_of_the_neurons",),
    ),
    Mutant(
        "loop: schedule frozen in the first epoch",
        "neurosnn/training/loop.py",
        "moment = trainer.epoch + k / len(batches)",
        "moment = k / len(batches)",
        (MOMENT + "[rates]",),
    ),
    Mutant(
        "images: schedule of step() frozen",
        "neurosnn/training/image_trainer.py",
        "self._updates.apply(gradient, float(self.epoch))",
        "self._updates.apply(gradient, 0.0)",
        (MOMENT + "[rates]",),
    ),
    Mutant(
        "torch: best weights of the default not kept",
        "neurosnn/torch/training.py",
        "best = BEST_ACCURACY if learner.validates else None",
        "best = None",
        (PLAIN_LOOP,),
    ),
    Mutant(
        "torch: best weights not restored",
        "neurosnn/torch/learner.py",
        "tensor.copy_(_as_tensor(weights[name], tensor))",
        "tensor.copy_(tensor)",
        (TORCH_CONTRACT + "[classifier-the_best_weights_are_kept]",),
    ),
    Mutant(
        "resume: random state not restored",
        "neurosnn/training/base.py",
        'self.random.bit_generator.state = progress["random"]',
        'assert progress["random"]',
        (CONTRACT + "[network-goes_on_bit_equal_after_a_kill_at_any_batch]",),
    ),
    Mutant(
        "torch: random state not restored",
        "neurosnn/torch/learner.py",
        "self.epoch, self.history = epoch, history\n        self.random_state = random",
        "self.epoch, self.history = epoch, history",
        (TORCH_CONTRACT + "[classifier-goes_on_bit_equal_after_a_kill_at_any_batch]",),
    ),
    Mutant(
        "updates: gradient of absent synapses not masked",
        "neurosnn/training/updates.py",
        "self.constraints.mask_gradient(gradient)",
        "pass",
        ("test_training.py",),
        "absent",
    ),
    Mutant(
        "LiftSilent: amount without its unit",
        "neurosnn/training/callbacks.py",
        'self.amount * constraints.scale_of(f"{name}.w") * (silent == 0)',
        "self.amount * (silent == 0)",
        ("test_training.py::test_silent_neurons_are_lifted_by_millivolts",),
    ),
    Mutant(
        "eventprop: smallest slope not relative to reset and threshold",
        EVENTPROP + "layer_eventprop.jinja",
        "const real limit = smallest_slope*e_room[k];",
        "const real limit = smallest_slope;",
        (TERMS + "::test_limit_of_the_slope_is_relative_to_the_distance_from_reset_to_threshold",),
    ),
    Mutant(
        "eventprop: no smallest slope",
        EVENTPROP + "layer_eventprop.jinja",
        "if (!(slope > limit)) slope = limit;",
        "if (!(slope > 0)) slope = limit;",
        (TERMS + "::test_limit_of_the_slope_is_relative_to_the_distance_from_reset_to_threshold",),
    ),
    # -- adjoint and templates of e-prop and BPTT -------------------------------------------------
    Mutant(
        "surrogate: step of a layer's coefficients",
        SURROGATE + "layer_surrogate.jinja",
        "h_{{ name }}.data() + (last ? step : step + 1)*n;\n        {%- endfor %}\n"
        "        {%- for name in layer.stored_after %}",
        "h_{{ name }}.data() + step*n;\n        {%- endfor %}\n"
        "        {%- for name in layer.stored_after %}",
        (NUMPY + "[Izhikevich]",),
    ),
    Mutant(
        "surrogate: a spike without its effect on the states",
        SURROGATE + "layer_surrogate.jinja",
        "const real z = psi*(p_zbar[j]{{ layer.spike_gradient }});",
        "const real z = psi*p_zbar[j];",
        (NUMPY + "[ALIF]",),
    ),
    Mutant(
        "surrogate: error of the readout misses its own step",
        SURROGATE + "layer_surrogate.jinja",
        "gx_{{ channel }}[step*n + j] = {{ expression }}{% if channel == layer.output %} + real(error[j])",
        "gx_{{ channel }}[step*n + j] = {{ expression }}{% if channel == layer.output %} + real(0)",
        (NUMPY + "[LIF]",),
    ),
    Mutant(
        "surrogate: sign of the target rate",
        SURROGATE + "trial_surrogate.jinja",
        "/duration - b.rate_target)",
        "/duration + b.rate_target)",
        (FEEDBACK + "[global]",),
    ),
    Mutant(
        "surrogate: firing-rate term without 1/T",
        SURROGATE + "trial_surrogate.jinja",
        "- b.rate_target)/duration);",
        "- b.rate_target));",
        (FEEDBACK + "[global]",),
    ),
    Mutant(
        "surrogate: readout weights in place of the feedback's",
        SURROGATE + "adjoint.py",
        "self.feedback.get(c.source, c.w).T",
        "c.w.T",
        (FEEDBACK + "[global]",),
    ),
    Mutant(
        "surrogate: margin without effect on the adjoint",
        SURROGATE + "adjoint.py",
        '+ ([f"z*{margin[column]}"] if column in margin else [])',
        '+ ([f"z*{margin[column]}"] if column == layer.output else [])',
        (NUMPY + "[ALIF]",),
    ),
    Mutant(
        "eprop: learned feedback without updates",
        "neurosnn/rules/eprop/adjoint.py",
        'gradient[key] = gradient[f"{name}.w"]',
        'gradient[key] = 0 * gradient[f"{name}.w"]',
        (GRADIENT + "::test_adaptive_feedback_gets_the_updates_of_the_readout",),
    ),
    Mutant(
        "bptt: delay in the wrong direction",
        "neurosnn/rules/bptt/trial_bptt.jinja",
        "const int64_t when = step{% if c.delayed %} + b.delay_{{ c.name }}[i]{% endif %};",
        "const int64_t when = step{% if c.delayed %} + 0*b.delay_{{ c.name }}[i]{% endif %};",
        (BPTT + "[STDP_ALIF-3]",),
    ),
    Mutant(
        "bptt: last spike of a trial ignored",
        "neurosnn/rules/bptt/trial_bptt.jinja",
        "if (when >= steps ||",
        "if (when >= steps - 40 ||",
        (BPTT + "[ALIF-0]",),
    ),
    Mutant(
        "bptt: sign of sparse synapses",
        "neurosnn/rules/bptt/trial_bptt.jinja",
        "zbar[i] += b.w_{{ c.name }}[s]",
        "zbar[i] -= b.w_{{ c.name }}[s]",
        (GRADIENT + "::test_bptt_goes_through_sparse_synapses",),
    ),
    # -- EventProp --------------------------------------------------------------------------------
    Mutant(
        "eventprop: the two strengths of the rate confused",
        EVENTPROP + "trial_eventprop.jinja",
        "(excess < 0 ? b.rate_strength_below",
        "(excess > 0 ? b.rate_strength_below",
        (RATE,),
    ),
    Mutant(
        "eventprop: spike time without effect through others",
        EVENTPROP + "layer_eventprop.jinja",
        "+ pending[j] + zbar[j];",
        "+ zbar[j];",
        (TABLE_1,),
    ),
    Mutant(
        "eventprop: no effect through the time of the last spike",
        EVENTPROP + "layer_eventprop.jinja",
        "+ pending[j] + zbar[j];",
        "+ pending[j];",
        (EVENTS,),
    ),
    Mutant(
        "eventprop: no secant of the crossing",
        EVENTPROP + "layer_eventprop.jinja",
        "max(real({{ layer.spike_gradient }}), e_secant[k]);",
        "real({{ layer.spike_gradient }});",
        ("test_eventprop_flows.py::test_strings_in_brian2_give_the_gradient_of_the_engine",),
    ),
    Mutant(
        "eventprop: sign of the gradient of a delay",
        EVENTPROP + "trial_eventprop.jinja",
        "g.delay_{{ c.name }}[*k] -= effect;",
        "g.delay_{{ c.name }}[*k] += effect;",
        (EVENTS,),
    ),
    Mutant(
        "eventprop: delayed spike credited at its arrival",
        EVENTPROP + "trial_eventprop.jinja",
        "((step{% if c.delayed %} - delay + ring{% endif %}) % ring)",
        "((step{% if c.delayed %} - 0*delay + ring{% endif %}) % ring)",
        ("test_eventprop.py::test_arrival_and_spike_in_one_step[before]",),
    ),
    Mutant(
        "eventprop: jump of an output without dt",
        EVENTPROP + "layer_eventprop.jinja",
        "+ real(error[j])*per_dt",
        "+ real(error[j])",
        (EXACT + "[leaky readout-8]",),
    ),
    Mutant(
        "eventprop: end of rest without effect",
        EVENTPROP + "layer_eventprop.jinja",
        "zbar[j] += {{ layer.release_gradient }};",
        "zbar[j] += 0*({{ layer.release_gradient }});",
        (EVENTS,),
    ),
    Mutant(
        "eventprop: reset left out of the adjoint",
        EVENTPROP + "adjoint.py",
        'f"mu_{row}*{R}" for (row, c), R in kept.items() if c == column',
        'f"mu_{row}*{R}" for (row, c), R in kept.items() if c == row == column',
        (EVENTS,),
    ),
    Mutant(
        "eventprop: sign of a reset that reads the time",
        EVENTPROP + "adjoint.py",
        "f\"(-mu_{name}*{at_spike(f'rate_{name}', text)})\"",
        "f\"(mu_{name}*{at_spike(f'rate_{name}', text)})\"",
        (EVENTS,),
    ),
    # -- calculus ---------------------------------------------------------------------------------
    Mutant(
        "calculus: sign of the jump of a state at a spike",
        "neurosnn/calculus/step.py",
        "carried(after_reset[middle] - here[middle]",
        "carried(here[middle] - after_reset[middle]",
        (TRACES + "[ALIF]",),
    ),
    Mutant(
        "calculus: sign of the margin",
        "neurosnn/calculus/step.py",
        "margin_by = to_symbolic(text)",
        "margin_by = -to_symbolic(text)",
        (TRACES + "[ALIF]",),
    ),
    Mutant(
        "calculus: reset differentiated without a spike",
        "neurosnn/calculus/step.py",
        "identity + symbol(SPIKED) * slope",
        "identity + slope",
        (TRACES + "[Izhikevich]",),
    ),
    Mutant(
        "calculus: input counts while the variable is closed",
        "neurosnn/calculus/step.py",
        "through_reset(row, channel) * gate[channel]",
        "through_reset(row, channel)",
        (AUTOGRAD + "[gated]",),
    ),
    Mutant(
        "calculus: reset slopes transposed",
        "neurosnn/calculus/step.py",
        "update_slope[row, middle] * reset_slope[middle, column]",
        "update_slope[row, middle] * reset_slope[column, middle]",
        (AUTOGRAD + "[gated]",),
    ),
    Mutant(
        "calculus: sign of a parameter's direct effect",
        "neurosnn/calculus/step.py",
        "row: differentiate(after_update[row], name)\n",
        "row: -differentiate(after_update[row], name)\n",
        (AUTOGRAD + "[LIF]",),
    ),
    Mutant(
        "calculus: a closed variable moves on",
        "neurosnn/calculus/step.py",
        "+ (1 - free) * result[variable]",
        "+ (1 + free) * result[variable]",
        (AUTOGRAD + "[gated]",),
    ),
    Mutant(
        "calculus: gate of the threshold left out of psi",
        "neurosnn/calculus/step.py",
        'f"({code.surrogate})*int({gate})" if gate else code.surrogate',
        "code.surrogate",
        ("test_thresholds.py::test_a_gate_closes_the_pseudo_derivative",),
    ),
    Mutant(
        "calculus: margin of a falling threshold",
        "neurosnn/calculus/margin.py",
        'return f"({right}) - ({left})"',
        'return f"({left}) - ({right})"',
        ("test_thresholds.py::test_margin_and_gate",),
    ),
    Mutant(
        "calculus: filter of a readout by first order",
        "neurosnn/calculus/filters.py",
        "np.exp(-float(dt) / value)",
        "1 - float(dt) / value",
        ("test_eprop_training.py",),
        "third_factor or printed or ones_own_readout",
    ),
    Mutant(
        "calculus: filter enters at the wrong state",
        "neurosnn/calculus/filters.py",
        "if row == self.entry else []",
        'if row == "" else []',
        ("test_eprop_online.py::test_other_linear_readouts_have_exact_gradients[CurrentReadout]",),
    ),
    Mutant(
        "hybrid: sign of the margin",
        "neurosnn/calculus/hybrid.py",
        "margin = {name: differentiate(g, name) for name in states}",
        "margin = {name: -differentiate(g, name) for name in states}",
        ("test_eventprop_flows.py",),
        "printed",
    ),
    Mutant(
        "hybrid: reset slopes transposed",
        "neurosnn/calculus/hybrid.py",
        "{(r, c): differentiate(after_reset[r], c) for r, c in pairs}",
        "{(c, r): differentiate(after_reset[r], c) for r, c in pairs}",
        (EVENTS,),
    ),
    Mutant(
        "hybrid: rest does not count from the last spike",
        "neurosnn/calculus/hybrid.py",
        "r = now - last - to_symbolic(period)",
        "r = now - to_symbolic(period)",
        (EVENTS,),
    ),
    Mutant(
        "hybrid: flow counts input while it is dropped",
        "neurosnn/calculus/hybrid.py",
        "(r, c): free * slope.xreplace({free: sympy.S.One}) if c in gated else slope",
        "(r, c): slope.xreplace({free: sympy.S.One}) if c in gated else slope",
        (EVENTS, "test_eventprop_events.py::test_dropped_input_has_no_gradient"),
    ),
    # -- the engine: steps, delays, resets --------------------------------------------------------
    Mutant(
        "engine: spikes while refractory",
        ENGINE + "layer_advance.jinja",
        "const bool fires = ({{ layer.threshold }}) & not_refractory;",
        "const bool fires = ({{ layer.threshold }});",
        (NAMED_SPIKES,),
    ),
    Mutant(
        "engine: input reaches a closed variable",
        ENGINE + "layer_reset.jinja",
        "+= free_flag[j] ? arriving_{{ channel }}[j] : real(0);",
        "+= arriving_{{ channel }}[j];",
        (SPIKES + "[gated]",),
    ),
    Mutant(
        "engine: a neuron that spikes is not refractory in its step",
        ENGINE + "layer_advance.jinja",
        "{% if layer.refractory %}not_refractory & !fires",
        "{% if layer.refractory %}not_refractory",
        (SPIKES + "[gated]",),
    ),
    Mutant(
        "engine: delays one step longer",
        ENGINE + "events.jinja",
        "ring[(t + delay[*i]) % size]",
        "ring[(t + max(delay[*i], 1)) % size]",
        (NAMED_SPIKES,),
    ),
    Mutant(
        "engine: input one step late",
        ENGINE + "trial.jinja",
        "b.event_step[e] <= step; e++",
        "b.event_step[e] < step; e++",
        (NAMED_SPIKES,),
    ),
    Mutant(
        "engine: output without its bias",
        ENGINE + "trial.jinja",
        ".s_{{ readout.output }}[k]) + b.bias[k];",
        ".s_{{ readout.output }}[k]);",
        (NUMPY + "[LIF]",),
    ),
    Mutant(
        "engine: every fourth spike of a step lost",
        ENGINE + "rows.jinja",
        "target[j] = (((target[j] + a[j]) + b[j]) + c[j]) + d[j];",
        "target[j] = (((target[j] + a[j]) + b[j]) + c[j]);",
        (NAMED_SPIKES,),
    ),
    Mutant(
        "engine: rest of a scalar product lost",
        ENGINE + "rows.jinja",
        "for (; j < n; j++) sum += a[j]*b[j];",
        "for (; j < n; j++) sum += 0*a[j]*b[j];",
        (BPTT + "[ALIF-0]",),
    ),
    Mutant(
        "engine: long scalar products keep their last part",
        ENGINE + "rows.jinja",
        "part[k] += a[j + k]*b[j + k];",
        "part[k] = a[j + k]*b[j + k];",
        (GRADIENT + "::test_bptt_goes_through_sparse_synapses",),
    ),
    Mutant(
        "engine: gradient of the last block only",
        ENGINE + "engine.jinja",
        "total[i] += part[i];",
        "total[i] = part[i];",
        ("test_engine.py::test_gradient_is_the_mean_over_the_trials",),
    ),
    Mutant(
        "engine: softmax without its largest score",
        ENGINE + "loss.jinja",
        "return y[label] - top - log(sum);",
        "return y[label] - log(sum);",
        (DEFINITION,),
    ),
    Mutant(
        "engine: time steps without a margin for rounding",
        ENGINE + "numbers.jinja",
        "return int((t + 1e-3*dt)/dt);",
        "return int(t/dt);",
        ("test_engine.py::test_a_rest_of_three_steps_lasts_three_steps",),
    ),
    Mutant(
        "network: learned delays cut off",
        "neurosnn/network/connection.py",
        "np.rint(self.learned_delay / self.dt)",
        "np.floor(self.learned_delay / self.dt)",
        ("test_learned_parameters.py::test_delays_are_rounded_to_steps_in_the_simulation_only",),
    ),
    Mutant(
        "network: delay of the target's neurons",
        "neurosnn/network/simulation.py",
        "synapses.delay = connection.delay[i] * net.dt",
        "synapses.delay = connection.delay[j % len(connection.delay)] * net.dt",
        (NAMED_SPIKES,),
    ),
    Mutant(
        "network: scale of sparse weights",
        "neurosnn/network/wiring.py",
        "/ np.sqrt(n_pre * target.connectivity)",
        "/ np.sqrt(n_pre)",
        ("test_network.py::test_size_of_the_initial_weights",),
    ),
    # -- losses -----------------------------------------------------------------------------------
    Mutant(
        "loss: cross-entropy in numpy",
        "neurosnn/losses/cross_entropy.py",
        "        error[label] -= 1\n",
        "        error[label] -= 0.5\n",
        (DERIVATIVE,),
    ),
    Mutant(
        "loss: cross-entropy in C++",
        "neurosnn/losses/cross_entropy.py",
        "output[step*K + k] = weight[step]*probability[k];",
        "output[step*K + k] = probability[k];",
        ("test_eprop_online.py::test_cross_entropy_of_a_trial_equals_the_engine[mean]",),
    ),
    Mutant(
        "loss: linear weights of the steps",
        "neurosnn/losses/cross_entropy.py",
        "weights = 1 - step / lengths[trial]",
        "weights = 1 - (step + 1) / lengths[trial]",
        ("test_losses.py::test_weights_of_each_readout",),
    ),
    Mutant(
        "loss: width of the sigmoid readout",
        "neurosnn/losses/cross_entropy.py",
        "_SIGMOID = (0.5, 0.2)",
        "_SIGMOID = (0.5, 0.3)",
        ("test_losses.py::test_weights_of_each_readout",),
    ),
    Mutant(
        "loss: per step in C++ without the weight",
        "neurosnn/losses/cross_entropy_per_step.py",
        "loss -= weight[step]*log_softmax",
        "loss -= log_softmax",
        (GRADIENT + "::test_cross_entropy_per_step",),
    ),
    Mutant(
        "loss: per step in Brian2",
        "neurosnn/losses/cross_entropy_per_step.py",
        "err = step_weight(t)*(1/denominator - target(t, i))",
        "err = step_weight(t)*(1/denominator - 0.9*target(t, i))",
        ("test_eprop_online.py::test_recurrent_network_equals_numpy[LIF]",),
    ),
    Mutant(
        "loss: masked steps keep their weight",
        "neurosnn/losses/cross_entropy_per_step.py",
        "counted = counted & (labels >= 0)",
        "counted = counted & (labels >= -1)",
        ("test_losses.py::test_masked_steps_leave_their_weight_to_the_others",),
    ),
    Mutant(
        "loss: mean square in C++",
        "neurosnn/losses/mean_square.py",
        "loss += 0.5*weight[step]*error*error;",
        "loss += weight[step]*error*error;",
        (NUMPY + "[LIF]",),
    ),
    Mutant(
        "loss: mean square in Brian2",
        "neurosnn/losses/mean_square.py",
        "err = step_weight(t)*({output} - target(t, i))",
        "err = step_weight(t)*({output} - 0.9*target(t, i))",
        ("test_eprop_online.py::test_two_layers_with_delays_equal_numpy[LIF]",),
    ),
    Mutant(
        "loss: sides of a maximum confused in C++",
        "neurosnn/losses/max_cross_entropy.py",
        "part[k] = rise/(rise + fall);",
        "part[k] = fall/(rise + fall);",
        (DEFINITION,),
    ),
    Mutant(
        "loss: sides of a maximum confused in numpy",
        "neurosnn/losses/max_cross_entropy.py",
        "error[m, k] += phi * pull[k]",
        "error[m, k] += (1 - phi) * pull[k]",
        ("test_losses.py::test_the_maximum_at_a_kink_is_read_on_both_sides",),
    ),
    Mutant(
        "loss: first spike in C++",
        "neurosnn/losses/first_spike.py",
        "-(1 - part[k])*by_time/slope[k];",
        "-part[k]*by_time/slope[k];",
        (DEFINITION,),
    ),
    Mutant(
        "loss: grazing output in C++",
        "neurosnn/losses/first_spike.py",
        "slope[k] = max(rise/b.dt, b.loss_smallest_slope);",
        "slope[k] = rise/b.dt;",
        (DEFINITION,),
    ),
    Mutant(
        "loss: grazing output in numpy",
        "neurosnn/losses/first_spike.py",
        'steepness = max(slope[k], c["smallest_slope"])',
        "steepness = slope[k]",
        ("test_losses.py::test_a_grazing_output_has_a_bounded_error",),
    ),
    Mutant(
        "loss: times from the end",
        "neurosnn/losses/time_windows.py",
        "edges += lengths * (float(value / second) < 0)",
        "edges += (lengths - 1) * (float(value / second) < 0)",
        ("test_losses.py::test_negative_times_count_from_the_end_of_each_trial",),
    ),
    # -- updates, optimizers, constraints ---------------------------------------------------------
    Mutant(
        "adam: second moment not corrected",
        "neurosnn/training/optimizers.py",
        "step /= (1 - self.beta_2**steps) ** 0.5",
        "step /= (1 - self.beta_2**steps) ** 0.4",
        ("test_optimizers.py::test_adam_is_the_published_one",),
    ),
    Mutant(
        "adam: epsilon",
        "neurosnn/training/optimizers.py",
        "step += self.epsilon",
        "step += 0 * self.epsilon",
        ("test_optimizers.py",),
        "adam",
    ),
    Mutant(
        "sgd: momentum",
        "neurosnn/training/optimizers.py",
        "velocity *= self.momentum",
        "velocity *= 0",
        ("test_optimizers.py::test_sgd_with_momentum",),
    ),
    Mutant(
        "weight decay without the learning rate",
        "neurosnn/training/optimizers.py",
        "parameter *= 1 - rate * self.weight_decay",
        "parameter *= 1 - self.weight_decay",
        ("test_optimizers.py::test_weight_decay",),
    ),
    Mutant(
        "clipping to the wrong length",
        "neurosnn/training/optimizers.py",
        "block *= limit / norm",
        "block *= limit / norm**2",
        ("test_optimizers.py::test_clipping_keeps_the_direction",),
    ),
    Mutant(
        "updates: gradient is not clipped",
        "neurosnn/training/updates.py",
        "clip_by_global_norm(gradient.blocks, self.clip)",
        "clip_by_global_norm(gradient.blocks, None)",
        ("test_training.py::test_clipping_and_bounds",),
    ),
    Mutant(
        "updates: gradient without the unit of the weights",
        "neurosnn/training/updates.py",
        "np.asarray(self.scales[name] * block)",
        "np.asarray(1.0 * block)",
        (
            "test_training.py",
            "test_learned_parameters.py::test_the_trainer_moves_them_in_ms_and_within_their_ranges",
        ),
        "millivolts or moves",
    ),
    Mutant(
        "updates: weights not back in their unit",
        "neurosnn/training/updates.py",
        "array * self.scales[name], where=moved",
        "1.001 * array * self.scales[name], where=moved",
        ("test_training.py::test_weights_with_a_unit_are_learned_in_millivolts",),
    ),
    Mutant(
        "constraints: Dale's law upside down",
        "neurosnn/training/constraints.py",
        "w[(w * connection.sign_of_weights) < 0] = 0.0",
        "w[(w * connection.sign_of_weights) > 0] = 0.0",
        ("test_optimizers.py::test_absent_synapses_stay_absent_and_signs_stay",),
    ),
    Mutant(
        "constraints: absent synapses get weights",
        "neurosnn/training/constraints.py",
        "np.copyto(w, 0.0, where=~connection.mask)",
        "np.copyto(w, 0.0, where=connection.mask & False)",
        ("test_optimizers.py::test_no_synapse_from_a_neuron_to_itself",),
    ),
    Mutant(
        "constraints: times in seconds",
        "neurosnn/training/constraints.py",
        "return 1e-3 if learned.dimensions is second.dim else",
        "return 1.0 if learned.dimensions is second.dim else",
        ("test_learned_parameters.py::test_the_trainer_moves_them_in_ms_and_within_their_ranges",),
    ),
    Mutant(
        "schedule: cosine",
        "neurosnn/training/schedules.py",
        "math.cos(math.pi * share)",
        "math.cos(math.pi * share / 2)",
        ("test_optimizers.py::test_schedules",),
    ),
    Mutant(
        "online training: mean of Adam",
        "neurosnn/training/online_updates.py",
        "now*(1 - {first!r})*(slope - {mean})",
        "now*(1 - {first!r})*slope",
        (EPOCH,),
        "adaptive",
    ),
    Mutant(
        "online eprop: sign of a spike's effect",
        "neurosnn/rules/eprop/traces.py",
        "entry += at_spike * margin[column].in_neuron",
        "entry -= at_spike * margin[column].in_neuron",
        (TRACES + "[ALIF]",),
    ),
    # -- checkpoints, resume, best weights --------------------------------------------------------
    Mutant(
        "loop: best weights not used",
        "neurosnn/training/loop.py",
        "self.learner.use(self.best)",
        "pass",
        (CONTRACT + "[network-the_best_weights_are_kept]",),
    ),
    Mutant(
        "loop: patience forgotten by a resume",
        "neurosnn/training/loop.py",
        '= state.best, best_value, fit["stale"]',
        "= state.best, best_value, 0",
        (CONTRACT + "[network-early_stopping_goes_on]",),
    ),
    Mutant(
        "loop: best weights forgotten by a resume",
        "neurosnn/training/loop.py",
        '= state.best, best_value, fit["stale"]',
        '= {}, best_value, fit["stale"]',
        (CONTRACT + "[network-early_stopping_goes_on]",),
    ),
    Mutant(
        "loop: Ctrl-C keeps the numbers of a batch that never was",
        "neurosnn/training/loop.py",
        "                self.learner.random_state = self.random_state\n",
        "                pass\n",
        (CONTRACT + "[network-ctrl_c_leaves_a_whole_batch_and_a_checkpoint]",),
    ),
    Mutant(
        "loop: epoch begins anew after a resume",
        "neurosnn/training/loop.py",
        "for k in range(self.batch, len(batches)):",
        "for k in range(0, len(batches)):",
        (CONTRACT + "[network-goes_on_bit_equal_after_a_kill_at_any_batch]",),
    ),
    Mutant(
        "resume: weights not restored",
        "neurosnn/training/updates.py",
        'overwrite(self.parameters, weights, path, "the parameter")',
        "pass",
        (CONTRACT + "[network-goes_on_bit_equal_after_a_kill_at_any_batch]",),
    ),
    Mutant(
        "resume: optimizer's state not restored",
        "neurosnn/training/updates.py",
        "        self.state = kept\n",
        "        del own\n",
        (CONTRACT + "[network-goes_on_bit_equal_after_a_kill_at_any_batch]",),
    ),
    Mutant(
        "resume: largest gradients forgotten",
        "neurosnn/training/base.py",
        "guard.count, guard.largest = updates, largest",
        "guard.count, guard.largest = updates, {}",
        (CONTRACT + "[network-goes_on_bit_equal_after_a_kill_at_any_batch]",),
    ),
    Mutant(
        "checkpoint: a trainer with another seed goes on",
        "neurosnn/training/checkpoint.py",
        "if was == is_now:",
        "if was == is_now or was is not None:",
        (CONTRACT + "[network-another_training_is_not_continued]",),
    ),
    Mutant(
        "early stopping: the worst weights are the best",
        "neurosnn/training/callbacks.py",
        'change = best - value if self.monitor == "validation_loss" else value - best',
        'change = value - best if self.monitor == "validation_loss" else value - best',
        (CONTRACT + "[network-the_best_weights_are_kept]",),
    ),
    # -- plasticity strings -----------------------------------------------------------------------
    Mutant(
        "pair STDP: sign of depression",
        "equations/pair_stdp.py",
        'f"w = clip(w + A_minus*y{SOFT_MINUS',
        'f"w = clip(w - A_minus*y{SOFT_MINUS',
        ("test_plasticity.py::test_pair_stdp_equals_an_event_loop",),
        "hard",
    ),
    Mutant(
        "pair STDP: soft bound of depression",
        "equations/pair_stdp.py",
        'SOFT_MINUS = "*clip((w - w_min)/',
        'SOFT_MINUS = "*clip((w_max - w)/',
        ("test_plasticity.py::test_pair_stdp_equals_an_event_loop",),
        "soft",
    ),
    Mutant(
        "pair STDP: all pairs in place of the nearest",
        "equations/pair_stdp.py",
        'return f"{trace} = 1" if',
        'return f"{trace} += 1" if',
        ("test_plasticity.py::test_nearest_pairs_only_with_the_last_spike",),
    ),
    Mutant(
        "triplet STDP: slow trace of the postsynaptic neuron",
        "equations/triplet_stdp.py",
        '"w = clip(w + r1*(A2_plus + A3_plus*o2), w_min, w_max)"',
        '"w = clip(w + r1*(A2_plus + A3_plus*o1), w_min, w_max)"',
        ("test_plasticity.py::test_triplet_stdp_equals_an_event_loop",),
    ),
    Mutant(
        "triplet STDP: slow trace of the presynaptic neuron",
        "equations/triplet_stdp.py",
        '"w = clip(w - o1*(A2_minus + A3_minus*r2), w_min, w_max)"',
        '"w = clip(w - o1*(A2_minus + A3_minus*r1), w_min, w_max)"',
        ("test_plasticity.py::test_triplet_stdp_equals_an_event_loop",),
    ),
    Mutant(
        "inhibitory STDP: target rate",
        "equations/vogels.py",
        "(y - 2*rho0*tau)",
        "(y - rho0*tau)",
        ("test_plasticity.py::test_inhibitory_stdp_equals_an_event_loop",),
    ),
    Mutant(
        "reward STDP: reward without its decay within a step",
        "equations/reward_stdp.py",
        "reward*exp(dt/tau_d)*c*",
        "reward*c*",
        ("test_plasticity.py::test_reward_that_decays_equals_a_fine_integration",),
    ),
    Mutant(
        "voltage STDP: threshold of depression",
        "equations/clopath.py",
        "*(u_minus - theta_minus), w_min",
        "*(u_plus - theta_minus), w_min",
        ("test_plasticity.py::test_voltage_stdp_equals_an_euler_loop",),
    ),
    Mutant(
        "plasticity: delay at the other side",
        "neurosnn/model/plasticity.py",
        'delays = {"pre": delay}',
        'delays = {"post": delay}',
        ("test_plasticity.py::test_delay_shifts_the_pairs",),
    ),
    Mutant(
        "plasticity: the changed weight is sent",
        "neurosnn/model/plasticity.py",
        "synapses.transmit.order = BEFORE_PRE",
        "synapses.transmit.order = AFTER_NEURONS + 5",
        ("test_plasticity.py::test_without_delay_the_weight_before_the_spike_is_sent",),
    ),
    # -- equilibrium propagation ------------------------------------------------------------------
    Mutant(
        "equilibrium: changes at the other side's spikes",
        "neurosnn/rules/equilibrium/equilibrium_trial.jinja",
        "total += sums[s].{{ c.name }}.column[j*mp + i];",
        "total -= sums[s].{{ c.name }}.column[j*mp + i];",
        (EQUILIBRIUM + "[constant input]",),
    ),
    Mutant(
        "equilibrium: sign of the nudge",
        "neurosnn/rules/equilibrium/equilibrium_trial.jinja",
        "real(b.beta[trial])",
        "real(fabs(b.beta[trial]))",
        (EQUILIBRIUM + "[constant input]",),
    ),
    Mutant(
        "equilibrium: two points",
        "neurosnn/training/equilibrium.py",
        "change -= (free[source] * weight).T @ free[target]",
        "change -= 0.9 * (free[source] * weight).T @ free[target]",
        ("test_equilibrium.py",),
        "two_point_update or direction",
    ),
    Mutant(
        "equilibrium: more nudges towards the target",
        "neurosnn/training/equilibrium.py",
        "[: n // 2]] = -1",
        "[: n // 3]] = -1",
        ("test_equilibrium.py::test_signs_are_balanced_in_each_batch",),
    ),
    Mutant(
        "rates: strength of the nudge",
        "neurosnn/training/rate_equilibrium.py",
        "slope = slope + 2 * beta *",
        "slope = slope + beta *",
        ("test_equilibrium.py::test_rate_update_is_the_gradient_of_the_settled_cost",),
    ),
    Mutant(
        "EqSpike: trace of a spike",
        "equations/eqspike.py",
        'reset="v = 0\\nr += t_ref/tau_s"',
        'reset="v = 0\\nr += 0.9*t_ref/tau_s"',
        ("test_equilibrium.py::test_window_of_an_isolated_pair",),
    ),
    Mutant(
        "EqSpike: rate of change",
        "equations/eqspike.py",
        "a = (r - q)/tau_2 : Hz",
        "a = (r - 0.5*q)/tau_2 : Hz",
        ("test_equilibrium.py::test_window_of_an_isolated_pair",),
    ),
    # -- torch ------------------------------------------------------------------------------------
    Mutant(
        "torch: spikes without their pseudo-derivative",
        "neurosnn/torch/neuron.py",
        "return gradient * psi, None, None",
        "return gradient, None, None",
        (
            "test_torch_neuron.py::test_derivative_of_a_spike_is_the_surrogate_as_brian2_computes_it",
        ),
        "LIF",
    ),
    Mutant(
        "torch: spikes while refractory",
        "neurosnn/torch/neuron.py",
        "fired = fired & free",
        "fired = fired",
        (TORCH_STEPS + "[STDP_LIF]",),
    ),
    Mutant(
        "torch: sign of an attached reset",
        "neurosnn/torch/neuron.py",
        "else new - old",
        "else old - new",
        ("test_torch_neuron.py::test_detached_and_attached_reset",),
    ),
    Mutant(
        "torch: position in the schedule not restored",
        "neurosnn/torch/training.py",
        "self.schedule.load_state_dict(position)",
        "assert position",
        (TORCH_CONTRACT + "[classifier-goes_on_bit_equal_after_a_kill_at_any_batch]",),
    ),
    Mutant(
        "torch: gradients are not clipped",
        "neurosnn/torch/learner.py",
        "torch.nn.utils.clip_grads_with_norm_(_moved(self.optimizer), self.clip, norm)",
        "pass",
        ("test_torch_training.py::test_a_plain_loop_over_sequences_comes_to_the_same_bits",),
    ),
    Mutant(
        "torch: learning rate halved too much",
        "neurosnn/torch/sequences.py",
        'max(group["lr"] / 2,',
        'max(group["lr"] / 4,',
        ("test_torch_recurrence.py::test_learning_rate_is_halved_when_the_error_stays",),
    ),
    Mutant(
        "torch: leak rate",
        "neurosnn/torch/transforms.py",
        "return self.dt / torch.sigmoid(free)",
        "return self.dt / torch.sigmoid(-free)",
        ("test_torch_neuron.py::test_leak_rate_is_the_sigmoid_of_a_free_number",),
    ),
    # -- export -----------------------------------------------------------------------------------
    Mutant(
        "export: two trials as one",
        "neurosnn/standalone/export.py",
        "several = len(schedule.n_steps) > 1",
        "several = len(schedule.n_steps) > 2",
        ("test_export.py::test_other_trials_for_the_program",),
    ),
    Mutant(
        "export: longer trials are accepted",
        "neurosnn/standalone/inputs.py",
        'n_steps.max() > times["longest"]',
        'n_steps.max() > times["longest"] + 1000',
        ("test_export.py::test_trials_that_do_not_fit",),
    ),
    Mutant(
        "export: the compiler may contract",
        "neurosnn/standalone/templates/makefile.cpp",
        "CXXFLAGS ?= -O3 -ffp-contract=off",
        "CXXFLAGS ?= -O3",
        ("test_export.py::test_the_project_is_portable_and_describes_itself",),
    ),
    Mutant(
        "export: project where an old one was is lost",
        "neurosnn/standalone/export.py",
        "if not overwrite:",
        "if overwrite is None:",
        ("test_export.py::test_only_projects_are_overwritten",),
    ),
    Mutant(
        "results: times in steps",
        "neurosnn/standalone/results.py",
        "TrialSpikes(place.step[place.trial == k] * schedule.dt,",
        "TrialSpikes((place.step[place.trial == k] + 1) * schedule.dt,",
        ("test_export.py::test_results_are_quantities_again",),
    ),
)
