# Passes the command's output on, on the host: relay.pl MARKER OUTPUT ERROR, where the two are named pipes
# that QEMU writes to. Each stream's end is marked by MARKER, so nothing that QEMU still holds gets lost.
# Reports on descriptor 3: "drained" after both markers, "gone" when QEMU ended, "broken" when nobody
# reads our output any more.
use strict;
use warnings;
use Fcntl;

my ($marker, @pipes) = @ARGV;
$SIG{PIPE} = 'IGNORE';
open my $events, '>&=', 3 or die "relay: no descriptor 3: $!\n";

sub report {
    syswrite $events, "$_[0]\n";
}

# Writes all of it; a reader that went away is reported once, and then the rest is dropped.
sub pass {
    my ($stream, $bytes) = @_;
    while (length $bytes && !$stream->{broken}) {
        my $count = syswrite $stream->{to}, $bytes;
        if (defined $count) {
            substr($bytes, 0, $count) = '';
        } elsif ($!{EAGAIN}) {
            my $ready = '';
            vec($ready, fileno $stream->{to}, 1) = 1;
            select undef, $ready, undef, undef;
        } elsif (!$!{EINTR}) {
            $stream->{broken} = 1;
            report('broken') if $!{EPIPE};
        }
    }
}

# How many bytes at the end of the text could be the beginning of the marker.
sub possible_marker {
    my ($text) = @_;
    my $most = length $text < length $marker ? length $text : length $marker;
    for (my $length = $most; $length > 0; $length--) {
        return $length if substr($text, -$length) eq substr($marker, 0, $length);
    }
    return 0;
}

my @streams;
for my $index (0, 1) {
    # Non-blocking, for nobody may have opened the other end yet.
    sysopen my $from, $pipes[$index], O_RDONLY | O_NONBLOCK or die "relay: cannot open $pipes[$index]: $!\n";
    push @streams, { from => $from, to => $index ? \*STDERR : \*STDOUT, held => '', broken => 0, open => 1 };
}

while (my @open = grep { $_->{open} } @streams) {
    my $ready = '';
    vec($ready, fileno $_->{from}, 1) = 1 for @open;
    next if select($ready, undef, undef, undef) < 1;
    for my $stream (grep { vec $ready, fileno $_->{from}, 1 } @open) {
        my $count = sysread $stream->{from}, my $bytes, 65536;
        next if !defined $count;
        if ($count == 0) {
            pass($stream, $stream->{held});
            report('gone');
            exit 1;
        }
        my $text = $stream->{held} . $bytes;
        my $keep = possible_marker($text);
        $stream->{held} = $keep ? substr($text, -$keep) : '';
        pass($stream, substr $text, 0, length($text) - $keep);
        $stream->{open} = 0 if $keep == length $marker;
    }
}
report('drained');
