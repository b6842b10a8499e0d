import threading

import pytest
from threads import Stopped

from pano_sound.pipeline.consumer import _BEHIND, Consumer

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_calls_are_made_in_order_in_another_thread():
    made = []
    with Consumer() as consumer:
        for n in range(100):
            consumer.tell(lambda n: made.append((n, threading.get_ident())), n)
        consumer.finish()
        assert [n for n, _ in made] == list(range(100))
    assert len({thread for _, thread in made}) == 1
    assert threading.get_ident() not in {thread for _, thread in made}


def test_it_waits_for_one_that_is_too_far_behind():
    go_on, told = threading.Event(), []

    def tell_all(consumer):
        for n in range(_BEHIND + 10):
            consumer.tell(go_on.wait)
            told.append(n)

    with Consumer() as consumer:
        teller = threading.Thread(target=tell_all, args=(consumer,))
        teller.start()
        teller.join(0.2)
        assert len(told) <= _BEHIND
        go_on.set()
        teller.join()
        consumer.finish()
    assert len(told) == _BEHIND + 10


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), Stopped()], ids=repr)
def test_what_a_call_raises_is_raised_here_and_ends_it(error):
    def fail():
        raise error

    def tell_all():
        with Consumer() as consumer:
            consumer.tell(fail)
            for _ in range(2 * _BEHIND):
                consumer.tell(lambda: None)
            consumer.finish()

    with pytest.raises(type(error)) as raised:
        tell_all()
    assert raised.value is error


def test_leaving_early_makes_none_of_the_calls_that_wait():
    begun, go_on, made = threading.Event(), threading.Event(), []

    def first():
        begun.set()
        go_on.wait()

    def leave():
        with Consumer() as consumer:
            consumer.tell(first)
            consumer.tell(made.append, 1)
            begun.wait()
            threading.Timer(0.05, go_on.set).start()
            raise Stopped

    with pytest.raises(Stopped):
        leave()
    assert made == []
