"""What happens to rows between a published dataset and a mixture: pure functions and Beam steps."""
