import threading

import pytest
from threads import Stopped

from pano_sound.pipeline.consumer import _MOST_WAITING as MOST_WAITING
from pano_sound.pipeline.consumer import Consumer

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_calls_are_made_in_order_in_another_thread():
    made = []
    with Consumer() as consumer:
        for n in range(100):
            consumer.submit(lambda n: made.append((n, threading.get_ident())), n)
        consumer.finish()
        assert [n for n, _ in made] == list(range(100))
    assert len({thread for _, thread in made}) == 1
    assert threading.get_ident() not in {thread for _, thread in made}


def test_submit_blocks_while_the_queue_is_full():
    go_on, queued = threading.Event(), []

    def submit_all(consumer):
        for n in range(MOST_WAITING + 10):
            consumer.submit(go_on.wait)
            queued.append(n)

    with Consumer() as consumer:
        producer = threading.Thread(target=submit_all, args=(consumer,))
        producer.start()
        producer.join(0.2)
        assert len(queued) <= MOST_WAITING + 1  # one of them is running
        go_on.set()
        producer.join()
        consumer.finish()
    assert len(queued) == MOST_WAITING + 10


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), Stopped()], ids=repr)
def test_an_exception_in_a_call_is_raised_here(error):
    def fail():
        raise error

    def submit_all():
        with Consumer() as consumer:
            consumer.submit(fail)
            for _ in range(2 * MOST_WAITING):
                consumer.submit(lambda: None)
            consumer.finish()

    with pytest.raises(type(error)) as raised:
        submit_all()
    assert raised.value is error


def test_calls_that_wait_are_dropped_on_an_early_exit():
    begun, go_on, made = threading.Event(), threading.Event(), []

    def first():
        begun.set()
        go_on.wait()

    def leave():
        with Consumer() as consumer:
            consumer.submit(first)
            consumer.submit(made.append, 1)
            begun.wait()
            threading.Timer(0.05, go_on.set).start()
            raise Stopped

    with pytest.raises(Stopped):
        leave()
    assert made == []
