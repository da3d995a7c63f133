"""What usually is wrong with a model whose answers differ: a module each, with what it would explain.

A module has an `ORDER`, its place: simpler ones come first, and the first that holds is named; a `NAME`; what it `SAYS`
where it holds, and a `REMEDY`; and one of three:

    asked(case)     the images to ask the target about instead, so that its answers are the reference's; None where it
                    does not apply
    OUTPUT          what the target answers, instead of what is expected
    explain(case)   a `Guess`; with `ASKS` where that asks the target again, and what it may claim to be in `PRECISIONS`

With the first two an `ASSUME` says what `verify --assume` calls it, and two of them are tried together too.
"""
