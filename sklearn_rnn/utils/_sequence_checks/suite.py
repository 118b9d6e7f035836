"""The suite: all checks, in their order."""

from __future__ import annotations

from sklearn_rnn.utils._sequence_checks import copies, forms, independence, selection, streams, training

CHECKS = (
    forms.check_a_list_a_tuple_and_object_array_and_3d_array_are_the_same_data,
    forms.check_ragged_forms_are_the_same_data,
    forms.check_univariate_sequences_may_be_1d,
    forms.check_nested_lists_of_numbers_are_sequences,
    forms.check_values_per_step_come_back_in_the_form_of_x,
    forms.check_values_per_step_are_as_many_as_the_steps,
    forms.check_float32_stays_float32,
    forms.check_other_numbers_become_float64,
    forms.check_memory_may_be_laid_out_in_any_way,
    independence.check_each_sequence_is_its_own,
    independence.check_the_order_of_the_sequences_does_not_matter,
    independence.check_a_fitted_model_takes_other_lengths,
    copies.check_copies_give_the_same_bits,
    copies.check_a_clone_trains_to_the_same_bits,
    copies.check_copies_train_on_with_the_same_bits,
    copies.check_a_copy_shares_nothing_with_its_original,
    training.check_fitting_again_begins_anew,
    training.check_one_call_an_epoch_equals_fit,
    training.check_a_weight_of_n_is_the_sequence_n_times,
    training.check_a_weight_of_zero_is_no_sequence,
    training.check_equal_weights_are_no_weights,
    training.check_n_jobs_does_not_change_a_bit,
    selection.check_cross_validation_splits_lists,
    selection.check_grid_search_splits_lists,
    streams.check_a_stream_predicts_as_predict_does,
)


def missing_capabilities(check, capabilities):
    """Return the capabilities that a check needs and that are not there."""
    return [name for name in check.needs if name not in capabilities]


def is_of_release(check, release):
    """Whether a check came with a release or an earlier one; None stands for the present one."""
    return release is None or version_tuple(check.since) <= version_tuple(release)


def version_tuple(version):
    """Return "0.1.0" as (0, 1, 0)."""
    return tuple(int(part) for part in str(version).split("."))
