# Becomes the command, inside the lab: in its directory, with its environment and arguments as the host
# wrote them down, byte by byte. Perl, because a shell would leave traces in the environment.
use strict;
use warnings;

sub words {
    my ($name) = @_;
    local $/;
    open my $file, '<:raw', "/run/lab/$name" or die "lab: cannot read $name: $!\n";
    my $content = <$file>;
    return split /\0/, $content, -1;
}

my @arguments = words('arguments');
my @environment = words('environment');
my ($directory) = words('directory');
pop @arguments;    # What follows the last terminator.
pop @environment;
unlink map { "/run/lab/$_" } qw(arguments environment directory begin.pl);
rmdir '/run/lab';

%ENV = ();
for (@environment) {
    my ($name, $value) = split /=/, $_, 2;
    $ENV{$name} = $value;
}
$ENV{PATH} //= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
$ENV{HOME} //= '/root';
delete $ENV{TMPDIR} if defined $ENV{TMPDIR} && !-d $ENV{TMPDIR};

# A shell starts its background jobs with these ignored.
$SIG{$_} = 'DEFAULT' for qw(INT QUIT PIPE);
if (!chdir $directory) {
    print STDERR "lab: cannot enter $directory: $!\n";
    exit 126;
}
{ no warnings 'exec'; exec { $arguments[0] } @arguments; }
my $status = $!{ENOENT} ? 127 : 126;
print STDERR "lab: cannot execute $arguments[0]: $!\n";
exit $status;
